# verdict.sh - for the checks that are shell scripts (". .ci/verdict.sh"):
# `verdict NAME` after a command tells whether it succeeded, `verdicts` ends.
n_passed=0
n_failed=0

verdict() {
  if [ $? -eq 0 ]; then
    n_passed=$((n_passed + 1))
    echo "ok - $1"
  else
    n_failed=$((n_failed + 1))
    echo "not ok - $1"
  fi
}

verdicts() {
  echo "$n_passed passed, $n_failed failed"
  [ "$n_failed" -eq 0 ]
}
