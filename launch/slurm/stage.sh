# What the stages' job files share; they source it. MODULE CONFIG [key=value ...] -> one launcher on each node.
#
# LAUNCH names another accelerate file (launch/accelerate/deepspeed_zero3.yaml); nodes and GPUs are those of the job.
# Asked to end (SIGUSR1 ahead of the time limit, SIGTERM on preemption), training writes what it needs to go on within the
# 30 seconds that launchers wait, and the job goes back into the queue. Curation and evaluation need no warning.
# shellcheck shell=bash
set -euo pipefail

stage() {
  local module=$1 nodes port step code ended
  shift
  mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
  port=$((20000 + SLURM_JOB_ID % 20000)) # jobs on one node must not meet
  # To the processes of the step; srun itself would kill them.
  trap 'scancel --signal=TERM "$SLURM_JOB_ID"' USR1
  trap : TERM # sent to the step as well
  # srun has not taken this over from the job since Slurm 22.05: all ranks of a node would share one core.
  [[ -z ${SLURM_CPUS_PER_TASK:-} ]] || export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK
  ended=$(mktemp) # a wait that a signal ends at the moment the step does can lose its exit code
  {
    trap : TERM USR1
    code=0
    srun --ntasks-per-node=1 --kill-on-bad-exit=0 bash launch/slurm/node.sh \
      --config_file "${LAUNCH:-launch/accelerate/multi_node.yaml}" \
      --num_machines "$SLURM_NNODES" --num_processes $((SLURM_NNODES * SLURM_GPUS_ON_NODE)) \
      --main_process_ip "${nodes[0]}" --main_process_port "$port" -m "$module" "$@" || code=$?
    echo "$code" >"$ended"
  } &
  step=$!
  while kill -0 "$step" 2>/dev/null; do
    wait "$step" || true # it ends with every signal
  done
  code=$(<"$ended")
  code=${code:-1}
  rm "$ended"
  if ((code == 75)); then
    scontrol requeue "$SLURM_JOB_ID"
  fi
  exit "$code"
}
