# On each node: accelerate's launcher with these arguments. All processes of a Slurm step are sent its signals, so the
# launcher and training have heard of it when this has; exit code 75 says that they ended because of it.
# shellcheck shell=bash
command -v accelerate >/dev/null || source .venv/bin/activate # the job was sent by a shell without it
told=0 code=0
trap 'told=1' TERM
accelerate launch --machine_rank "$SLURM_NODEID" "$@" || code=$? # the trap is run when this has ended
if ((told)); then
  ((code)) && code=75
elif ((code && SLURM_NNODES > 1)); then
  scancel --signal=KILL "$SLURM_JOB_ID.$SLURM_STEP_ID" # the other nodes would wait for this one
fi
exit "$code"
