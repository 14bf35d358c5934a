# The three official test splits of UCF101, for a model that has not seen its classes. The files are
# those of ./ucf101.py, with the lists data/ucf101/ucf101_val_split_{1,2,3}_videos.txt.
test_splits = {
    f'split{i}': dict(
        ann_file=f'data/ucf101/ucf101_val_split_{i}_videos.txt',
        data_prefix=dict(video='data/ucf101/videos'),
        class_names='data/ucf101/label_map.txt',
    )
    for i in (1, 2, 3)
}
