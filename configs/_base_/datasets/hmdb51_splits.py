# The three official test splits of HMDB51, for a model that has not seen its classes. The files are
# those of ./hmdb51.py, with the lists data/hmdb51/hmdb51_val_split_{1,2,3}_videos.txt.
test_splits = {
    f'split{i}': dict(
        ann_file=f'data/hmdb51/hmdb51_val_split_{i}_videos.txt',
        data_prefix=dict(video='data/hmdb51/videos'),
        class_names='data/hmdb51/label_map.txt',
    )
    for i in (1, 2, 3)
}
