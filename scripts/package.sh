#!/usr/bin/env bash
# Makes a Debian package of an already built skiff: package.sh [--binary FILE] [--out DIR] [--fast]
set -euo pipefail
cd "$(dirname "$0")/.."

binary=target/x86_64-unknown-linux-gnu/release/skiff
out=target/package
compress=(-Zxz)
while [ $# -gt 0 ]; do
    case "$1" in
        --binary) binary=$2; shift 2 ;;
        --out) out=$2; shift 2 ;;
        # Nothing is compressed: for tests.
        --fast) compress=(-Znone); shift ;;
        *) echo "usage: scripts/package.sh [--binary FILE] [--out DIR] [--fast]" >&2; exit 2 ;;
    esac
done
[ -x "$binary" ] || { echo "there is no $binary; build it: cargo build --release -p skiff" >&2; exit 1; }
binary=$(realpath "$binary")

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
version=$("$binary" --version | cut -d' ' -f2)

install -D -m 755 "$binary" "$tree/usr/bin/skiff"
strip "$tree/usr/bin/skiff"
mkdir -p "$tree/lib/systemd/system"
for unit in deploy/systemd/*.service; do
    sed 's,/usr/local/bin/skiff,/usr/bin/skiff,' "$unit" >"$tree/lib/systemd/system/$(basename "$unit")"
done
install -D -m 644 deploy/debian/default "$tree/etc/default/skiff"

man=$tree/usr/share/man/man1
mkdir -p "$man"
"$binary" man "$man"
gzip -9n "$man"/*
bash=$tree/usr/share/bash-completion/completions
zsh=$tree/usr/share/zsh/vendor-completions
fish=$tree/usr/share/fish/vendor_completions.d
mkdir -p "$bash" "$zsh" "$fish"
"$binary" completion bash >"$bash/skiff"
"$binary" completion zsh >"$zsh/_skiff"
"$binary" completion fish >"$fish/skiff.fish"

doc=$tree/usr/share/doc/skiff
mkdir -p "$doc"
install -m 644 docs/install.md docs/configuration.md docs/cli.md "$doc/"
install -m 644 LICENSE "$doc/copyright"
gzip -9nc CHANGELOG.md >"$doc/changelog.gz"
find "$tree" -type d -exec chmod 755 {} +
find "$tree/usr/share" "$tree/lib" -type f -exec chmod 644 {} +

size=$(du -sk "$tree" | cut -f1)
mkdir "$tree/DEBIAN"
sed "s/@VERSION@/$version/; s/@SIZE@/$size/" deploy/debian/control >"$tree/DEBIAN/control"
install -m 644 deploy/debian/conffiles "$tree/DEBIAN/conffiles"
for script in postinst prerm postrm; do
    install -m 755 "deploy/debian/$script" "$tree/DEBIAN/$script"
done
(cd "$tree" && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' | sort -z | xargs -0 md5sum) >"$tree/md5sums"
mv "$tree/md5sums" "$tree/DEBIAN/md5sums"
mkdir -p "$out"
dpkg-deb --root-owner-group "${compress[@]}" --build "$tree" "$out/skiff_${version}_amd64.deb"
