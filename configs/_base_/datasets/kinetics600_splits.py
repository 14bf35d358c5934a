# Kinetics-600 without Kinetics-400: three times 160 of the 220 new classes, classified among these
# 160 (X-CLIP's protocol, ER-ZSAR's classes). X-CLIP ships no lists; ViFi-CLIP has published some,
# of videos of train, val and test. Expected, i = 1, 2, 3:
#   data/kinetics600/ZS_split{i}_K600_eval.txt   of its datasets_splits/k600_splits: path and label
#   data/kinetics600/ZS_split{i}_K600.csv        of its labels: the 160 names, id and name
#   data/kinetics600/videos/{train,val,test}/*.mp4, which the paths in the lists begin below
test_splits = {
    f'split{i}': dict(
        ann_file=f'data/kinetics600/ZS_split{i}_K600_eval.txt',
        data_prefix=dict(video='data/kinetics600/videos'),
        class_names=f'data/kinetics600/ZS_split{i}_K600.csv',
    )
    for i in (1, 2, 3)
}
