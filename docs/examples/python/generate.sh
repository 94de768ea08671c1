#!/bin/sh
# Makes the Python code of the protocol from proto/ of this repository.
#
#   ./generate.sh [FOLDER]     default: generated, beside this script
#
# Needs protoc 3.15 or newer and its gRPC plugin; Debian: apt-get install protobuf-compiler protobuf-compiler-grpc
set -eu
here=$(cd "$(dirname "$0")" && pwd)
proto=$here/../../../proto
out=${1:-$here/generated}

missing() {
  echo "generate.sh: $1 is not installed; on Debian: apt-get install protobuf-compiler protobuf-compiler-grpc" >&2
  exit 1
}
command -v protoc >/dev/null || missing protoc
plugin=$(command -v grpc_python_plugin) || missing grpc_python_plugin

mkdir -p "$out"
protoc --proto_path="$proto" --python_out="$out" --grpc_python_out="$out" --plugin=protoc-gen-grpc_python="$plugin" \
  "$proto"/synod/v1/*.proto
