#!/usr/bin/env bash
# Builds the Dockerfile with buildah, checks what the image contains, and starts it as its own user with a
# read-only root. Needs root. No registry is asked for images: stand-ins with the same layout take the place
# of the base images, so the bases themselves are not tested. The build stage borrows this machine's npm.
# NODE names a Node.js 24 program; without it npm installs one.
set -euo pipefail
cd "$(dirname "$0")/.."
export BUILDAH_ISOLATION=chroot BUILDAH_FORMAT=docker
# A quarter of it is the SDK of OpenTelemetry.
APP_KIB_MAX=92160

work=$(mktemp -d)
# A store of its own: nothing is left behind.
store=(--root "$work/store" --runroot "$work/run")
b() { buildah "${store[@]}" "$@"; }
sidecar=
cleanup() {
  [[ -z $sidecar ]] || { kill "$sidecar" && wait "$sidecar"; } 2> /dev/null || true
  b umount --all > /dev/null 2>&1 || true
  rm -rf "$work"
}
trap cleanup EXIT
fail() { echo "FAILED: $*" >&2; exit 1; }

# Commits an image of a folder, under a name.
image_of() {
  local container
  container=$(b from scratch)
  b copy -q "$container" "$1" / > /dev/null
  b config "${@:3}" "$container"
  b commit -q "$container" "localhost/$2" > /dev/null
  b rm "$container" > /dev/null
}

if [[ -z ${NODE:-} ]]; then
  version=$(sed -nE '1,/^FROM/s/^FROM node:([0-9.]+)-.*/\1/p' Dockerfile)
  npm install --silent --prefix "$work/node" --no-save "node@$version"
  NODE=$work/node/node_modules/node/bin/node
fi
# The build stage: empty folders, where this machine's programs are mounted.
mkdir -p "$work"/build/{app,tmp,proc,dev,etc,root}
shared=()
for folder in usr bin sbin lib lib64 etc; do
  [[ -e /$folder ]] || continue
  mkdir -p "$work/build/$folder"
  shared+=(--volume "/$folder:/$folder:ro")
done
chmod 1777 "$work/build/tmp"
registry=$(npm config get registry)
image_of "$work/build" stand-in-build --env PATH=/usr/local/bin:/usr/bin:/bin --env HOME=/tmp \
  --env "npm_config_registry=$registry"
# The runtime: Node.js where distroless has it, and the libraries that it links.
mkdir -p "$work"/runtime/{nodejs/bin,tmp,proc,dev,etc}
cp "$NODE" "$work/runtime/nodejs/bin/node"
ldd "$NODE" | grep -oE '/[^ ]+' | xargs -I{} cp --parents -L {} "$work/runtime"
image_of "$work/runtime" stand-in-runtime

sed -E 's|^FROM node:[^ ]+|FROM localhost/stand-in-build|; s|^FROM gcr\.io/[^ ]+|FROM localhost/stand-in-runtime|' \
  Dockerfile > "$work/Dockerfile"
[[ $(grep -c '^FROM localhost/' "$work/Dockerfile") == $(grep -c '^FROM ' Dockerfile) ]] || fail "a base has no stand-in"
b build --quiet --pull-never --ignorefile .dockerignore "${shared[@]}" -f "$work/Dockerfile" -t splitcache . > /dev/null
container=$(b from --pull-never localhost/splitcache)
root=$(b mount "$container")

# What it contains.
outside=$(cd "$root" && find . -path ./app -prune -o \( -type f -o -type l \) -print | sort | comm -23 - \
  <(cd "$work/runtime" && find . \( -type f -o -type l \) -print | sort))
[[ -z $outside ]] || fail "files outside of /app: $outside"
for name in npm npx sh bash typescript vitest '@biomejs'; do
  # npm leaves empty folders of what it prunes.
  found=$(find "$root" \( -name "$name" -o -path "*/$name/*" \) ! -type d -print -quit)
  [[ -z $found ]] || fail "the image contains $found"
done
for name in LICENSE THIRD_PARTY_LICENCES package.json dist/main.js; do
  [[ -s $root/app/$name ]] || fail "/app/$name is missing"
done
# Such as the link of a workspace that was not copied.
dangling=$(find "$root/app" -xtype l -print -quit)
[[ -z $dangling ]] || fail "a link leads nowhere: $dangling"
size=$(du -sk "$root/app" | cut -f 1)
((size <= APP_KIB_MAX)) || fail "/app has $size KiB, more than $APP_KIB_MAX"
grep -q "$registry" -rI "$root/app" --include=package.json --exclude-dir=node_modules && fail "the registry is in the image"
settings=$(b inspect --format '{{.OCIv1.Config.User}} {{.OCIv1.Config.Entrypoint}} {{.OCIv1.Config.Cmd}}' "$container")
[[ $settings == "65532:65532 [/nodejs/bin/node "*"/app/dist/main.js] [serve]" ]] || fail "user, entry point: $settings"
echo "content: /app has $size KiB; $settings"

# The entry point as user 65532, with a read-only root and no writable folder.
port=$((20000 + RANDOM % 10000))
entry=$(b inspect --format '{{range .OCIv1.Config.Entrypoint}}{{.}} {{end}}' "$container")
# In a mount namespace: the root is bound onto itself, read-only.
read_only='mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && shift && exec "$@"'
# shellcheck disable=SC2086
unshare --mount sh -c "$read_only" - "$root" env -i PATH="$PATH" NODE_ENV=production \
  SPLITCACHE_HTTP=127.0.0.1:$port SPLITCACHE_LISTEN=127.0.0.1:0 \
  chroot --userspec=65532:65532 "$root" $entry serve 2> "$work/log" &
sidecar=$!
for _ in {1..300}; do
  node -e "fetch('http://127.0.0.1:$port/readyz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))" && break
  kill -0 "$sidecar" || fail "it ended: $(cat "$work/log")"
done
grep -q '"msg":"splitcache serves' "$work/log" || fail "it does not serve: $(cat "$work/log")"
[[ $(awk '/^Uid:/ {print $2, $3}' "/proc/$sidecar/status") == "65532 65532" ]] || fail "it runs as another user"
[[ $(awk '/^CapEff:/ {print $2}' "/proc/$sidecar/status") =~ ^0+$ ]] || fail "it has capabilities"
awk -v root="$root" '$5 == "/" && $6 ~ /^ro/ {found = 1} END {exit !found}' "/proc/$sidecar/mountinfo" || fail "its root is writable"
# The image's own health check.
command=$(sed -nE 's/^  CMD (\[.*\])$/\1/p' Dockerfile)
mapfile -t check < <(node -e 'for (const word of JSON.parse(process.argv[1])) console.log(word)' "$command")
env -i PATH="$PATH" SPLITCACHE_HTTP=127.0.0.1:$port chroot --userspec=65532:65532 "$root" "${check[@]}" || fail "the health check fails"
kill "$sidecar"
code=0
wait "$sidecar" || code=$?
sidecar=
((code == 0)) || fail "it ended with $code at SIGTERM: $(cat "$work/log")"
echo "started as user 65532 with a read-only root, healthy, ended with 0 at SIGTERM"
