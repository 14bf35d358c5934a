# Pre-training on Kinetics-710: the training videos of Kinetics-400, 600 and 700, without those that
# any of the three tests on, under the union of their class names. There is no official list: bring
# yours,
#   data/kinetics710/kinetics710_{train,val}_list_videos.txt   path below videos/, label
#   data/kinetics710/label_map_k710.txt   a name a line: MMAction2's tools/data/kinetics710 has one
# The paper has the row and no recipe: this is that of Kinetics-400. Then, on Kinetics-400:
#   python tools/train.py configs/dist/k400_b16_32f.py --cfg-options load_from=CHECKPOINT
_base_ = './k400_b16_32f.py'

num_classes = 710
data_root = 'data/kinetics710'
class_names = data_root + '/label_map_k710.txt'
videos = dict(video=data_root + '/videos')
val_dataset = dict(ann_file=data_root + '/kinetics710_val_list_videos.txt', data_prefix=videos)

blending = dict(augments=[dict(x, num_classes=num_classes) for x in _base_.blending.augments])
model = dict(
    data_preprocessor=dict(blending=blending),
    cls_head=dict(class_names=class_names),
)
train_dataloader = dict(
    dataset=dict(ann_file=data_root + '/kinetics710_train_list_videos.txt', data_prefix=videos)
)
val_dataloader = dict(dataset=val_dataset)
test_dataloader = dict(dataset=val_dataset)
