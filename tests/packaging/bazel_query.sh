#!/usr/bin/env bash
# Loads every BUILD file with Bazel and resolves all labels, without downloads:
# stand-ins take the place of rules_python and of the third-party packages.
# For Bazel 4 to 6 (Debian: apt-get install bazel-bootstrap).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
project=$PWD
scratch=$(mktemp -d)
trap 'bazel --output_user_root="$scratch/out" shutdown; chmod -R u+w "$scratch"
  rm -rf "$scratch"' EXIT

mkdir -p "$scratch"/{project,rules_python/python,pypi}
tar --exclude='./.*' --exclude=__pycache__ -cf - . |
  tar -xf - -C "$scratch/project"

touch "$scratch"/{rules_python,pypi}/WORKSPACE
touch "$scratch/rules_python/python/BUILD"
cat > "$scratch/rules_python/python/defs.bzl" <<'BZL'
def _nothing(ctx):
    return []

py_library = rule(_nothing, attrs = {
    "srcs": attr.label_list(allow_files = True),
    "data": attr.label_list(allow_files = True),
    "deps": attr.label_list(),
})

def py_binary(main = None, **attributes):
    py_library(**attributes)

def py_test(main_module, args, **attributes):
    py_library(testonly = True, **attributes)
BZL

# One package for each line of the lock file, named as rules_python names it.
grep -v '^#' "$project/requirements.lock" | while IFS== read -r name _; do
  name=$(tr 'A-Z.-' 'a-z__' <<< "$name")
  mkdir "$scratch/pypi/$name"
  echo "filegroup(name = '$name', visibility = ['//visibility:public'])" \
    > "$scratch/pypi/$name/BUILD"
done

cd "$scratch/project"
cat > WORKSPACE <<BZL
workspace(name = "axial_tf")
local_repository(name = "rules_python", path = "$scratch/rules_python")
local_repository(name = "pypi", path = "$scratch/pypi")
BZL
query() {
  bazel --output_user_root="$scratch/out" query --noshow_progress \
    --noimplicit_deps "$@" 2> "$scratch/errors" ||
      { cat "$scratch/errors" >&2; exit 1; }
}
all=$(query //...)
needed=$(query 'deps(//...)')
train=$(query 'kind("py_library rule", deps(//axial_tf:train))')
seen=$(query 'kind("source file", deps(//...))' | grep '\.py$' |
  sed 's|^//||; s|^:||; s|:|/|' | sort)
files=$(find . -name '*.py' -printf '%P\n' | sort)
diff <(echo "$seen") <(echo "$files") ||
  { echo 'these files are in no target' >&2; exit 1; }
echo "$(wc -l <<< "$all") targets of $(wc -l <<< "$files") Python files; with" \
  "all they need: $(wc -l <<< "$needed")"
echo "$(wc -l <<< "$train") Python targets make //axial_tf:train:"
echo "$train"
