# Parameters, gradients and optimiser state are divided over the processes (FSDP2), for models that
# one GPU does not hold: bf16, micro_batch and checkpointing=True of the towers come first. Needs a
# launcher (tools/dist_train.sh); mixed precision is --amp bfloat16. With micro_batch each part
# gathers the weights three times: strategy.reshard=False keeps them, or take few, large parts.
runner_type = 'FlexibleRunner'
strategy = dict(type='mmstan.FullyShard', reshard=True, cpu_offload=False)
