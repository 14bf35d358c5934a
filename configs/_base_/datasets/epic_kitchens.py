# EPIC-Kitchens-100: segments of long videos with a verb and a noun each. Expected, as distributed:
#   data/epic_kitchens/videos/   the videos, anywhere below, P01/videos/P01_01.MP4 and so on
#   data/epic_kitchens/EPIC_100_{train,validation}.csv, EPIC_100_{verb,noun}_classes.csv
# and the names of verbs and nouns, which `python tools/data/epic_kitchens.py data/epic_kitchens`
# writes. Frames are read from the long videos: cut ones, or at least small ones with many key
# frames, are read faster. Tested on 3 clips x 1 crop.
_base_ = '../loaders.py'

data_root = 'data/epic_kitchens'
num_frames = 16
train_pipeline = [
    dict(
        type='mmstan.ReadFrames',
        sampler=dict(
            type='mmstan.SampleWindow',
            sampler=dict(type='mmstan.SampleSegments', num_frames=num_frames),
        ),
    ),
    dict(type='RandomResizedCrop', area_range=(0.4, 1.0)),
    dict(type='Resize', scale=(224, 224), keep_ratio=False),
    dict(type='Flip', flip_ratio=0.5),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs', meta_keys=('img_shape', 'filename', 'narration_id')),
]
val_pipeline = [
    dict(
        type='mmstan.ReadFrames',
        sampler=dict(
            type='mmstan.SampleWindow',
            sampler=dict(type='mmstan.SampleSegments', num_frames=num_frames, test_mode=True),
        ),
    ),
    dict(type='Resize', scale=(-1, 224)),
    dict(type='CenterCrop', crop_size=224),
    *train_pipeline[-2:],
]
test_pipeline = [
    dict(
        type='mmstan.ReadFrames',
        sampler=dict(
            type='mmstan.SampleWindow',
            sampler=dict(
                type='mmstan.SampleSegments', num_frames=num_frames, num_clips=3, test_mode=True
            ),
        ),
    ),
    *val_pipeline[1:],
]
files = dict(type='mmstan.EpicKitchens', data_prefix=dict(video=data_root + '/videos'))
val_dataset = dict(files, ann_file=data_root + '/EPIC_100_validation.csv')

train_dataloader = dict(
    batch_size=32,
    dataset=dict(files, ann_file=data_root + '/EPIC_100_train.csv', pipeline=train_pipeline),
)
val_dataloader = dict(dataset=dict(val_dataset, pipeline=val_pipeline))
test_dataloader = dict(batch_size=4, dataset=dict(val_dataset, pipeline=test_pipeline))
val_evaluator = dict(type='mmstan.VerbNounMetric')
test_evaluator = val_evaluator
