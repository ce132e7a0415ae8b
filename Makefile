# Quarry's commands. `make` alone lists them. The work is done by the scripts in Tools/.

# The machine to run on, and what the kernel is told.
MEMORY ?= 512M
CPU ?= max
MACHINE ?= pc
BOOT ?= kernel
ARGS ?=
TIMEOUT ?= 60

PYTHON ?= /usr/bin/python3
export SWIFT_BACKTRACE := enable=no
export PYTHONDONTWRITEBYTECODE := 1

.PHONY: help dependencies run kernel iso debug clean

help: ## list the targets
	@echo 'Usage: make TARGET [MEMORY=64M|512M|5G|64G] [CPU=max] [MACHINE=pc|q35] [BOOT=kernel|iso] [ARGS="..."] [TIMEOUT=60]'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | awk -F '|' '{ printf "%-16s%s\n", $$1, $$2 }'

run: dependencies kernel ## install what is missing, build the kernel and boot it in QEMU
	@$(PYTHON) Tools/run_kernel.py --memory '$(MEMORY)' --cpu '$(CPU)' --machine '$(MACHINE)' --boot '$(BOOT)' \
		--arguments '$(ARGS)' --timeout '$(TIMEOUT)'

kernel: dependencies ## build the kernel: build/quarry.elf and build/quarry-multiboot.elf
	@$(PYTHON) Tools/build_kernel.py

iso: kernel ## write build/quarry.iso, which GRUB boots with ARGS
	@$(PYTHON) Tools/make_iso.py --arguments '$(ARGS)'

dependencies: ## install the Debian packages that are missing; check Swift's version
	@Tools/install_dependencies.sh run

clean: ## remove everything that was built
	rm -rf build .build .build-kernel .build-asan
