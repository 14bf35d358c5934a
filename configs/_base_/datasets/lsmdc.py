# LSMDC, one caption a clip, tested on the 1,000 clips of its public challenge.
_base_ = './retrieval.py'

data_root = 'data/video_retrieval/lsmdc'
files = dict(
    type='mmstan.LSMDC',
    data_prefix=dict(video=data_root + '/videos'),
    video_list='',
)
train_dataloader = dict(dataset=dict(**files, ann_file=data_root + '/LSMDC16_annos_training.csv'))
val_dataloader = dict(dataset=dict(**files, ann_file=data_root + '/LSMDC16_annos_val.csv'))
test_dataloader = dict(
    dataset=dict(**files, ann_file=data_root + '/LSMDC16_challenge_1000_publictect.csv')
)
