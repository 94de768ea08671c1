#!/usr/bin/env bash
# Removes what up.sh made, with all data in it.
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$0")/common.sh"

for argument in "$@"; do
  case "$argument" in
    --help | -h)
      cat <<TEXT
down.sh: removes the kind cluster $CLUSTER with everything in it. The image $IMAGE stays.

Example:
  deploy/kubernetes/kind/down.sh

Exit codes: 0 gone, or was not there; 1 something failed; $EXIT_USAGE wrong usage; $EXIT_MISSING kind or a container engine is missing.
TEXT
      exit 0
      ;;
    *) fail "$EXIT_USAGE" "$argument is not expected; see --help" ;;
  esac
done

need kind
find_engine
kind delete cluster --name "$CLUSTER"
