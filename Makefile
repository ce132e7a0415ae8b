# Quarry's commands. `make` alone lists them. The work is done by the scripts in Tools/.

# The machine to run on, and what the kernel is told.
MEMORY ?= 512M
CPU ?= max
MACHINE ?= pc
BOOT ?= kernel
ARGS ?=
TIMEOUT ?= 60

# A dump's directory to draw instead of a machine's memory, and a trace to play on the page.
DUMP ?=
TRACE ?=

# How long to fuzz.
SECONDS ?= 60

PYTHON ?= /usr/bin/python3
export SWIFT_BACKTRACE := enable=no
export PYTHONDONTWRITEBYTECODE := 1

# Set where make was called with -s.
SILENT := $(findstring s,$(firstword -$(MAKEFLAGS)))

SWIFT_SOURCES := Sources Tests Benchmarks/Sources Package.swift Benchmarks/Package.swift \
	$(wildcard Examples/*/Sources Examples/*/Package.swift) \
	Tools/Replay/Sources Tools/Replay/Tests Tools/Replay/Package.swift

# What a test run is made of (Tools/run_tests.py).
PARTS ?=

.PHONY: help run shell test host-test boot-test check stack-report bench bench-check bench-update host-bench host-bench-check kernel iso \
	example-kernel fuzz trace replay debug debug-mapping docs docs-check format lint dependencies test-dependencies clean

help: ## list the targets
	@echo 'Usage: make TARGET [MEMORY=64M|512M|5G|64G] [CPU=max] [MACHINE=pc|q35] [BOOT=kernel|iso] [ARGS="..."] [TIMEOUT=60] [SECONDS=60]'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F '|' '{ printf "  %-19s%s\n", $$1, $$2 }'

run: dependencies kernel ## install what is missing, build the kernel and boot it in QEMU
	@$(PYTHON) Tools/run_kernel.py --memory '$(MEMORY)' --cpu '$(CPU)' --machine '$(MACHINE)' --boot '$(BOOT)' \
		--arguments '$(ARGS)' --timeout '$(TIMEOUT)'

# With -s nothing is said of the build but what went wrong; what is piped in is for the kernel.
shell: ## boot to the prompt of the kernel's monitor (docs/monitor.md)
	@$(if $(SILENT),log=$$($(MAKE) kernel 2>&1 </dev/null) || { printf '%s\n' "$$log" >&2; exit 1; },$(MAKE) kernel </dev/null)
	@$(PYTHON) Tools/shell.py --memory '$(MEMORY)' --cpu '$(CPU)' --machine '$(MACHINE)' --boot '$(BOOT)' \
		--arguments '$(ARGS)' --timeout '$(TIMEOUT)'

test: test-dependencies ## run every check and test, on the host and in QEMU, and end with a summary
	@$(PYTHON) Tools/run_tests.py $(PARTS)

host-test: test-dependencies ## run the memory modules' tests on the host, also under the sanitizers
	@$(PYTHON) Tools/run_tests.py host sanitized threads

boot-test: test-dependencies ## build the kernel and boot it in QEMU, once for each boot test
	@$(PYTHON) Tools/run_tests.py kernel debug boot

check: test-dependencies ## build the kernel and check its code, and test the tools that do so
	@$(PYTHON) Tools/run_tests.py kernel check tools

.PHONY: dump
dump: kernel ## boot with ARGS, use memory of each kind, and write every report to build/dump/NAME
	@$(PYTHON) Tools/dump.py --memory '$(MEMORY)' --cpu '$(CPU)' --machine '$(MACHINE)' --boot '$(BOOT)' \
		--arguments '$(ARGS)' --timeout '$(TIMEOUT)'
.PHONY: map
map: $(if $(DUMP),,kernel) ## draw where memory is: build/memory-map.html and .svg, of a machine or of DUMP=dir, with TRACE=file
	@$(PYTHON) Tools/map.py --memory '$(MEMORY)' --cpu '$(CPU)' --machine '$(MACHINE)' $(if $(ARGS),--arguments '$(ARGS)') \
		$(if $(DUMP),--dump '$(DUMP)') $(if $(TRACE),--trace '$(TRACE)')

stack-report: kernel ## write build/stack-report.txt: how deep each stack goes at most, and by what path
	@$(PYTHON) Tools/stack_report.py

bench: kernel ## count the instructions of each operation and show them beside Linux's
	@$(PYTHON) Tools/bench.py

bench-check: kernel ## fail where a bound is exceeded or a row grew by more than 3 %
	@$(PYTHON) Tools/bench.py check

bench-update: kernel ## write Benchmarks/instructions.json, what bench-check compares with
	@$(PYTHON) Tools/bench.py update

host-bench: test-dependencies ## run the workloads on the host: time and instructions, beside others'
	@$(PYTHON) Tools/host_bench.py --callgrind

host-bench-check: test-dependencies ## fail where a workload on the host exceeds its bound
	@$(PYTHON) Tools/host_bench.py --callgrind --check

fuzz: ## try new inputs on the fuzz targets for SECONDS, guided by what code they reach
	@$(PYTHON) Tools/fuzz.py --seconds '$(SECONDS)'

kernel: dependencies ## build and check the kernel: build/quarry.elf and build/quarry-multiboot.elf
	@$(PYTHON) Tools/build_kernel.py
	@$(PYTHON) Tools/check_kernel.py
	@$(PYTHON) Tools/check_floors.py

example-kernel: dependencies ## build the kernel of another package, Examples/AdoptingKernel, and boot it
	@$(PYTHON) Tools/build_kernel.py --package Examples/AdoptingKernel --product AdoptingKernel --output build/examples
	@$(PYTHON) Tools/run_kernel.py --kernel build/examples/AdoptingKernel-multiboot.elf --log build/examples/serial.log \
		--memory '$(MEMORY)' --cpu '$(CPU)' --machine '$(MACHINE)' --arguments '$(ARGS)' --timeout '$(TIMEOUT)'

iso: kernel ## write build/quarry.iso, which GRUB boots with ARGS
	@$(PYTHON) Tools/make_iso.py --arguments '$(ARGS)'

trace: kernel ## boot with all calls on the allocators traced, into build/trace.txt
	@$(PYTHON) Tools/trace.py --memory '$(if $(filter file,$(origin MEMORY)),64M,$(MEMORY))' --cpu '$(CPU)' --machine '$(MACHINE)' --arguments '$(ARGS)'

.PHONY: trace-map
trace-map: kernel ## boot once, use memory of each kind, and draw build/memory-map.html, which plays how it came to that
	@$(PYTHON) Tools/trace.py --output build/trace-map.txt --dump build/trace-dump \
		--memory '$(if $(filter file,$(origin MEMORY)),64M,$(MEMORY))' --cpu '$(CPU)' --machine '$(MACHINE)' --arguments '$(ARGS)'
	@$(PYTHON) Tools/map.py --dump build/trace-dump --trace build/trace-map.txt

replay: ## run a trace again on this host (Tools/Replay), build/trace.txt or TRACE=file, and check the allocators
	@swift build --build-system native --package-path Tools/Replay --product quarry-replay -q
	@Tools/Replay/.build/debug/quarry-replay '$(or $(TRACE),build/trace.txt)' $(ARGS)

debug: dependencies ## boot a -Onone kernel stopped, and open gdb, with the `quarry` commands, at its entry
	@$(PYTHON) Tools/build_kernel.py --configuration debug --output build/debug
	@$(PYTHON) Tools/debug_kernel.py --memory '$(MEMORY)' --cpu '$(CPU)' --machine '$(MACHINE)' --arguments '$(ARGS)'

debug-mapping: dependencies ## have gdb show, step by step, how one page comes to be mapped
	@$(PYTHON) Tools/build_kernel.py --configuration debug --output build/debug
	@$(PYTHON) Tools/debug_kernel.py --memory 64M --arguments nokaslr --script gdb/step-mapping.gdb

docs: dependencies ## write build/docs, the documentation's site: python3 -m http.server -d build/docs
	@$(PYTHON) Tools/build_docs.py

docs-check: test-dependencies ## complain of missing comments, of links that lead nowhere, and of names that do not exist
	@$(PYTHON) Tools/run_tests.py docs

format: ## format the Swift sources
	swift format --in-place --recursive $(SWIFT_SOURCES)

lint: ## complain of Swift sources that are not formatted
	swift format lint --recursive --strict $(SWIFT_SOURCES)

dependencies: ## install the Debian packages that are missing, and check Swift's version
	@Tools/install_dependencies.sh run

test-dependencies: ## install what the tests need besides
	@Tools/install_dependencies.sh test

clean: ## remove everything that was built
	rm -rf build .build .build-* Examples/*/.build* Tools/Replay/.build
