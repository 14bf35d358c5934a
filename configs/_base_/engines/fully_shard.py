# Parameters, gradients and optimiser state are divided over the processes (FSDP2), for models that
# one GPU does not hold: bf16, micro_batch and checkpointing=True of the towers come first. Needs a
# launcher (tools/dist_train.sh); mixed precision is --amp bfloat16. With micro_batch each part
# gathers the weights three times: strategy.reshard=False keeps them, or take few, large parts.
# It takes the place of the runtime.
_base_ = '../pretraining_runtime.py'

runner_type = 'FlexibleRunner'
strategy = dict(type='mmstan.FullyShard', reshard=True, cpu_offload=False)
# Objects travel through gloo, tensors of a GPU through NCCL; a checkpoint is gathered meanwhile.
env_cfg = dict(dist_cfg=dict(backend='cpu:gloo,cuda:nccl', timeout=7200))
