# `make generate PROMPT="a red apple"` draws a picture; `make test` runs the tests.

PROMPT ?= a red apple
OUT ?= out.png
SWIFT ?= swift
STYLE ?=
# What .ci/run and packagers set to keep build products apart.
BUILD_PATH ?= .build
FLAGS := --scratch-path $(BUILD_PATH) --explicit-target-dependency-import-check error

# Debian packages: libraries that are linked, and what the client tests run in.
PACKAGES := libisal-dev libopenblas-dev libpng-dev libssl-dev libsystemd-dev libvulkan-dev \
  pkg-config
TEST_PACKAGES := python3 python3-venv curl jq
DEB_PACKAGES := dpkg-dev python3 binutils lintian
# Vulkan without a GPU, watched by the validation layer; and the compiler of its shaders.
VULKAN_PACKAGES := mesa-vulkan-drivers vulkan-validationlayers
SHADER_PACKAGES := glslang-tools spirv-tools
SYSTEMD_PACKAGES := systemd systemd-container curl
ARM64_PACKAGES := qemu-user-static gcc-aarch64-linux-gnu libc6-dev-arm64-cross

.PHONY: generate build deps test test-deps shaders shaders-check clients-test \
  clients-test-newest fuzz arm64-test opening-test systemd-test deb deb-test docs thermal-plot \
  heat-bench soak siege memory-test train train-denoiser eval parity checkpoint-test lint bench \
  sanitize sanitize-thread sanitize-address ci clean

generate: build
	@"$$($(SWIFT) build -c release $(FLAGS) --show-bin-path)/banana" generate "$(PROMPT)" --local \
	  --models models $(if $(STYLE),--style $(STYLE)) --output "$(OUT)"

build: deps
	$(SWIFT) build -c release $(FLAGS) --target Programs

deps:
	@scripts/install-packages $(PACKAGES)

test-deps: deps
	@scripts/install-packages $(TEST_PACKAGES)

# First what keeps the processors busy, so that the daemon's tests, which wait for answers, have
# them for themselves.
BUSY_TESTS := ^(CKernels|CPUBackend|Diffusion|Execution|Fuzz|Graph|Imaging|ModelImport|Models|Text|Tidy)Tests\.
BUSY_TESTS := $(BUSY_TESTS)|^(VulkanBackend|Weights)Tests\.|(FairQueue|PeelRegistry|Scheduler)ModelTests
test: deps
	@scripts/install-packages $(VULKAN_PACKAGES)
	$(SWIFT) build $(FLAGS) --build-tests
	BANANA_TEST_VULKAN=1 $(SWIFT) test $(FLAGS) --skip-build --filter '$(BUSY_TESTS)'
	$(SWIFT) test $(FLAGS) --skip-build --skip '$(BUSY_TESTS)'

# The public OpenAI client, over the socket, against the release build; and a public validator of
# the API's description.
clients-test: test-deps build
	python3 -m venv .venv
	.venv/bin/pip install --quiet --requirement Tests/clients/requirements.txt
	.venv/bin/python -m openapi_spec_validator docs/openapi.json
	bin="$$($(SWIFT) build -c release $(FLAGS) --show-bin-path)" && \
	  Tests/clients/run .venv/bin/python "$$bin" && \
	  .venv/bin/python Tests/clients/banana_command_test.py "$$bin/banana" models

# The same with the newest client that there is, to see what breaks with it.
clients-test-newest: test-deps build
	python3 -m venv --clear $(BUILD_PATH)/venv-newest
	$(BUILD_PATH)/venv-newest/bin/pip install --quiet openai
	Tests/clients/run $(BUILD_PATH)/venv-newest/bin/python \
	  "$$($(SWIFT) build -c release $(FLAGS) --show-bin-path)"

# Looks for inputs that parsers trip over, SECONDS for each of the TARGETS (all of them), two at a
# time; KEEP=1 keeps what reaches something new in Tests/Fixtures/fuzz. CONTRIBUTING.md says what to
# do with what it finds.
SECONDS ?= 30
fuzz: deps
	BANANA_FUZZING=1 $(SWIFT) build -c release $(FLAGS) --product banana-fuzz
	scripts/fuzz "$$($(SWIFT) build -c release $(FLAGS) --show-bin-path)/banana-fuzz" $(SECONDS) \
	  $(BUILD_PATH)/fuzz $(TARGETS)

# Compiles shaders/ again; what changes in shaders/spirv belongs into the same commit.
shaders:
	@scripts/install-packages $(SHADER_PACKAGES)
	scripts/build-shaders

shaders-check:
	@scripts/install-packages $(SHADER_PACKAGES)
	scripts/build-shaders --check

# The kernels of ARM, under emulation of processors with and without dot products.
arm64-test:
	@scripts/install-packages $(ARM64_PACKAGES)
	scripts/test-arm64-kernels $(BUILD_PATH)/arm64

# Training. DATA is the tar of pictures and captions; STATE keeps what has been done.
DATA ?= stickers.tar.xz
STATE ?= $(HOME)/.cache/banana-training
HOURS ?= 2
# What the peel `noto` learns from.
TRAINING_PACKAGES := fonts-noto-color-emoji
TRAINING_PYTHON := $(abspath .venv-training)/bin/python

.venv-training: training/requirements.txt
	@scripts/install-packages $(TEST_PACKAGES)
	python3 -m venv $@
	$@/bin/pip install --quiet --requirement $<
	touch $@

# Trains, quantizes and exports models/sticker; goes on where it was stopped.
train: .venv-training
	@scripts/install-packages $(TRAINING_PACKAGES)
	cd training && $(TRAINING_PYTHON) -m banana_training.train --data "$(abspath $(DATA))" \
	  --state "$(STATE)" --out ../models/sticker --peels ../peels --hours $(HOURS)
	cd training && $(TRAINING_PYTHON) -m banana_training.export_goldens sticker \
	  --package ../models/sticker --out ../Tests/Fixtures/goldens/sticker

# The denoiser alone, in the background, for days; goes on where it was stopped. TRAIN: more options.
TRAIN ?=
train-denoiser: .venv-training
	cd training && $(TRAINING_PYTHON) -m banana_training.background --state "$(STATE)" -- \
	  --data "$(abspath $(DATA))" $(TRAIN)

# The architectures of public checkpoints at full size against diffusers: half an hour, and 6 GiB in
# PARITY_FOLDER.
PARITY_FOLDER ?= /tmp/banana-parity
parity: build
	@scripts/install-packages $(TEST_PACKAGES)
	python3 -m venv $(BUILD_PATH)/venv-parity
	$(BUILD_PATH)/venv-parity/bin/pip install --quiet --requirement training/requirements-parity.txt
	bin="$$($(SWIFT) build -c release $(FLAGS) --show-bin-path)" && cd training && \
	  $(abspath $(BUILD_PATH))/venv-parity/bin/python -m banana_training.parity \
	  --programs "$$bin" --folder "$(PARITY_FOLDER)" $(PARITY)

# A checkpoint of full size with random weights and the LoRA of a latent consistency model for it,
# from their files to pictures by OpenAI's client: ten minutes, and 5 GiB in CHECKPOINT_FOLDER.
CHECKPOINT_FOLDER ?= /tmp/banana-checkpoint
checkpoint-test: build
	@scripts/install-packages $(TEST_PACKAGES)
	python3 -m venv $(BUILD_PATH)/venv-parity
	$(BUILD_PATH)/venv-parity/bin/pip install --quiet \
	  --requirement training/requirements-parity.txt --requirement Tests/clients/requirements.txt
	cd training && $(abspath $(BUILD_PATH))/venv-parity/bin/python \
	  -m banana_training.parity_checkpoints sd15 --out "$(CHECKPOINT_FOLDER)/sd15" \
	  --lora "$(CHECKPOINT_FOLDER)/lcm-lora.safetensors"
	$(BUILD_PATH)/venv-parity/bin/python Tests/clients/openai_checkpoint_test.py \
	  "$$($(SWIFT) build -c release $(FLAGS) --show-bin-path)" models "$(CHECKPOINT_FOLDER)/sd15" \
	  "$(CHECKPOINT_FOLDER)/lcm-lora.safetensors" --measure

# Measures models/sticker, drawn by the engine (retrieval, autoencoder, alpha), and the peels.
eval: .venv-training build
	bin="$$($(SWIFT) build -c release $(FLAGS) --show-bin-path)" && cd training && \
	  $(TRAINING_PYTHON) -m banana_training.evaluate --data "$(abspath $(DATA))" \
	  --state "$(STATE)" --package ../models/sticker --record --out "$(STATE)/quality.json" \
	  --daemon "$$bin/bananad"
	@scripts/install-packages $(TRAINING_PACKAGES)
	cd training && for peel in pixel-art noto high-contrast; do \
	  pictures="$(STATE)/peels/$$peel"; \
	  [ -d "$$pictures" ] || $(TRAINING_PYTHON) -m banana_training.peel_data $$peel \
	    --data "$(abspath $(DATA))" --out "$$pictures" || exit 1; \
	  $(TRAINING_PYTHON) -m banana_training.evaluate_peel --base ../models/sticker \
	    --pictures "$$pictures" --peel ../peels/$$peel.safetensors \
	    --sheet ../docs/peels/$$peel.png || exit 1; done

# Opens a package of 2 GiB, and asks the daemon what goes on all the while.
opening-test:
	BANANA_OPENING_BYTES=2147483648 BANANA_OPENING_MILLISECONDS=20 $(SWIFT) test $(FLAGS) \
	  --filter OpeningTests

# A package with everything: programs, models, peels, units, completions, manual pages.
deb: deps
	@scripts/install-packages $(DEB_PACKAGES)
	$(SWIFT) build -c release $(FLAGS) --static-swift-stdlib --target Programs
	$(SWIFT) build -c release $(FLAGS) --static-swift-stdlib --product banana-bench
	scripts/build-deb "$$($(SWIFT) build -c release $(FLAGS) --show-bin-path)" $(BUILD_PATH)/deb
	lintian --fail-on error $(BUILD_PATH)/deb/*.deb

# The package, installed, used, upgraded and purged on a real systemd in a container; needs root.
deb-test: deb
	@scripts/install-packages $(SYSTEMD_PACKAGES)
	scripts/test-deb $(BUILD_PATH)/deb/banana_*.deb

# The documentation of BananaSDK; fails when a public symbol has none.
docs: test-deps
	$(SWIFT) build $(FLAGS) --target BananaSDK
	scripts/build-docs $(BUILD_PATH) $(BUILD_PATH)/docs

# The units, on a real systemd in a container; needs root.
systemd-test: build
	@scripts/install-packages $(SYSTEMD_PACKAGES) $(TEST_PACKAGES)
	/usr/bin/python3 -m venv $(BUILD_PATH)/venv-systemd
	$(BUILD_PATH)/venv-systemd/bin/pip install --quiet --requirement Tests/clients/requirements.txt
	scripts/test-systemd "$$($(SWIFT) build -c release $(FLAGS) --show-bin-path)" models \
	  $(BUILD_PATH)/venv-systemd

# The picture of docs/benchmarks: what heat does to a simulated board; needs matplotlib.
thermal-plot:
	BANANA_THERMAL_CSV=$(abspath $(BUILD_PATH))/thermal.csv \
	  $(SWIFT) test $(FLAGS) --filter writesTheFiguresForThePlot
	scripts/plot-thermal $(BUILD_PATH)/thermal.csv docs/benchmarks/thermal.png \
	  "A passively cooled board under full load, simulated" "work, threads' worth"

# The same board under the real load of a real bananad: ten minutes, on a machine that is at rest.
heat-bench: deps
	for program in bananad banana-bench; do \
	  $(SWIFT) build -c release $(FLAGS) --product $$program || exit 1; done
	"$$($(SWIFT) build -c release $(FLAGS) --show-bin-path)/banana-bench" heat --models models \
	  --csv $(BUILD_PATH)/heat.csv
	scripts/plot-thermal $(BUILD_PATH)/heat.csv docs/benchmarks/heat-real-load.png \
	  "A simulated board under the real load of bananad" "pictures/s"

# 32 clients of three users, a tenth of them rude, and the daemon killed in the middle; then a siege
# by one of them, which takes as long again. As root, or of one user without what is between users.
# SEED replays the choices of an earlier run.
MINUTES ?= 3
SEED ?=
SOAK = bin="$$($(SWIFT) build -c release $(FLAGS) --show-bin-path)" && "$$bin/banana-soak"
SOAK_FLAGS = --daemon "$$bin/bananad" --models models --peels peels $(if $(SEED),--seed $(SEED))

soak: build
	$(SWIFT) build -c release $(FLAGS) --product banana-soak
	$(SOAK) $(SOAK_FLAGS) --minutes $(MINUTES)

# The siege alone; KINDS="longJobs churn" are some kinds of harm.
KINDS ?=
siege: build
	$(SWIFT) build -c release $(FLAGS) --product banana-soak
	$(SOAK) siege $(SOAK_FLAGS) --minutes $(MINUTES) $(if $(KINDS),--kind $(KINDS))

# 10,000 requests to a daemon in a control group with hardly more memory than it needs; as root.
memory-test: build
	$(SWIFT) build -c release $(FLAGS) --product banana-soak
	$(SOAK) memory $(SOAK_FLAGS)

# The thread sanitizer over what threads share, the address sanitizer over kernels and parsers. Each
# builds the tree anew in a folder of its own, which takes longer than its tests: not a part of `ci`.
THREAD_SUITES := WorkerPool|RunTests|ThreadRation|PeelRegistry|PeelBounds|PeelRoute|PeelCrash|Job \
  |Turn|Batch|FairShare|FairQueue|SchedulerModel|DiffusionEngine|BananaSDKTests
ADDRESS_SUITES := CKernelsTests|OpTests|QuantizationTests|WeightsTests|TextTests|ImagingTests \
  |FuzzTests|JSONTests|MultipartTests

sanitize: sanitize-thread sanitize-address

sanitize-thread: deps
	TSAN_OPTIONS="suppressions=$(CURDIR)/Tests/thread-sanitizer.supp" \
	  $(SWIFT) test --scratch-path $(BUILD_PATH)/thread --sanitize=thread \
	  --filter "$(subst $() ,,$(THREAD_SUITES))"

# Swift keeps what weak references point to in shifted pointers, which look like leaks; and one test
# wants memory at addresses that the sanitizer has for itself.
sanitize-address: deps
	ASAN_OPTIONS=detect_leaks=0 \
	  $(SWIFT) test --scratch-path $(BUILD_PATH)/address --sanitize=address \
	  --filter "$(subst $() ,,$(ADDRESS_SUITES))" --skip DeflaterTests/whereItLiesChangesNothing

lint:
	$(SWIFT) format lint --strict --recursive Sources Tests Package.swift

bench: deps
	$(SWIFT) build -c release $(FLAGS) --product banana-bench
	@"$$($(SWIFT) build -c release $(FLAGS) --show-bin-path)/banana-bench" --models models

# Everything that must hold before a change lands.
ci: lint shaders-check test docs arm64-test clients-test
	-$(MAKE) clients-test-newest
	$(MAKE) generate OUT=$(BUILD_PATH)/ci.png
	$(MAKE) soak MINUTES=0.4
	$(MAKE) bench
	$(MAKE) fuzz

clean:
	rm -rf $(BUILD_PATH) .venv
