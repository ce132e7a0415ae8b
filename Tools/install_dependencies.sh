#!/usr/bin/env bash
# Makes sure that what Quarry needs is there: Debian packages through apt, and a Swift that is new enough.
#
#     install_dependencies.sh run|test
#
# Says nothing where nothing is missing.
set -euo pipefail

needed_swift="6.3"
packages=(qemu-system-x86 grub-pc-bin grub-common xorriso mtools lld gdb make binutils python3)
if [[ "${1:-run}" == test ]]; then
    packages+=(procps python3-pexpect python3-pytest util-linux valgrind)
    # The page of `make map` in a real browser.
    packages+=(chromium chromium-driver python3-selenium)
fi

missing=()
for package in "${packages[@]}"; do
    state=$(dpkg-query --show --showformat='${Status}' "$package" 2>/dev/null || true)
    [[ "$state" == "install ok installed" ]] || missing+=("$package")
done

if ((${#missing[@]} > 0)); then
    as_root=()
    if [[ "$(id -u)" != 0 ]]; then
        as_root=(sudo)
    fi
    if ! command -v apt-get >/dev/null; then
        echo "Quarry needs these packages, and there is no apt-get to install them: ${missing[*]}" >&2
        exit 1
    fi
    echo "Installing Debian packages that Quarry needs: ${missing[*]}"
    "${as_root[@]}" apt-get update --quiet
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install --yes --quiet --no-install-recommends "${missing[@]}"
fi

if ! command -v swift >/dev/null; then
    echo "Quarry needs Swift $needed_swift or later and finds none on PATH: see https://www.swift.org/install" >&2
    exit 1
fi
found=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9][0-9.]*\).*/\1/p' | head -n 1)
if [[ -z "$found" || "$(printf '%s\n' "$needed_swift" "$found" | sort --version-sort | head -n 1)" != "$needed_swift" ]]; then
    echo "Quarry needs Swift $needed_swift or later; this is ${found:-of unknown version}: see https://www.swift.org/install" >&2
    exit 1
fi
