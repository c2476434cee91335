# sqlite-bitcask: the engine (bitcask/), the SQLite module (ext/), their tests.
# Everything that is made goes to build/.  Targets install the packages that
# they need and that are missing (.ci/setup says how).

CC      = gcc
CFLAGS  = -O2 -g
PREFIX  = /usr/local
DESTDIR =
DB      = :memory:
BUILD   = build

FUZZ_SECS = 60

# Of make stress: how often to kill, and how long to run threads, and the model.
KILLS = 5000
SECS  = 120

WARN     = -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef
CPPFLAGS = -D_GNU_SOURCE -Ibitcask $(PRIVATE) -MMD -MP
PRIVATE  = -Ibitcask/src
COMPILE  = $(CC) -std=c11 -fPIC -fvisibility=hidden $(WARN) $(CPPFLAGS) $(CFLAGS)
PYTHON   = /usr/bin/python3

# CRC-32 comes from libdeflate if the machine has it, else from zlib.  Asked
# once, after the set-up, and kept: objects of both kinds never mix.
CRC                  = $(shell cat $(BUILD)/crc32-from)
CRC_FLAGS_libdeflate = -DBC_HAVE_LIBDEFLATE=1
CRC_FLAGS_zlib       = -DBC_HAVE_LIBDEFLATE=0
CRC_LIBS_libdeflate  = -ldeflate
LIBS                 = $(CRC_LIBS_$(CRC)) -lz -lpthread

# Lets the tests make an allocation fail, or a thread (bitcask/tests/oom.h).
WRAP = -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=free,--wrap=pthread_create

sources   = $(sort $(wildcard $(1)))
objects   = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
LIB_OBJ   = $(call objects,$(call sources,bitcask/src/*.c))
EXT_OBJ   = $(call objects,$(call sources,ext/*.c))
BENCH_OBJ = $(call objects,$(call sources,bitcask/bench/*.c))
FUZZ_OBJ  = $(call objects,$(call sources,bitcask/fuzz/*.c))
TEST_SRC  = $(call sources,bitcask/tests/test_*.c)
AID_OBJ   = $(call objects,$(filter-out $(TEST_SRC) bitcask/tests/example.c,$(call sources,bitcask/tests/*.c)))
TESTS     = $(TEST_SRC:bitcask/tests/%.c=$(BUILD)/tests/%)
EXT_TEST  = $(BUILD)/tests/test_record
STATIC    = $(BUILD)/tests/test_lifecycle-static
SQL_TESTS = $(BUILD)/tests/test_lifecycle $(STATIC)
CRC_TESTS = $(BUILD)/tests/test_crc32-zlib $(BUILD)/tests/test_crc32-libdeflate
OBJ       = $(LIB_OBJ) $(EXT_OBJ) $(BENCH_OBJ) $(FUZZ_OBJ) $(AID_OBJ) \
            $(call objects,$(TEST_SRC) $(call sources,bitcask/tests/example.c bitcask/tests/interop/*.c sql-tests/*.c))

.PHONY: all setup demo shell test stress mutants test-versions test-clients asan ubsan tsan fuzz lint format bench install clean programs objects
.PHONY: setup-build setup-demo setup-shell setup-test setup-versions setup-clients setup-sanitize setup-bench setup-lint setup-format
.DELETE_ON_ERROR:
.SECONDARY:

all: $(BUILD)/libbitcask.a $(BUILD)/bitcask.so

setup-build setup-demo setup-shell setup-test setup-versions setup-clients setup-sanitize setup-bench setup-lint setup-format:
	@.ci/setup $(@:setup-%=%)
setup:
	@.ci/setup build demo test

demo: setup-demo all
	@sql-tests/demo/run $(BUILD)/bitcask

shell: setup-shell all
	@sqlite3 -cmd '.load $(BUILD)/bitcask' $(DB)

# Goes on after a failure, of the compiler too: .ci/sum misses what is not there.
test: setup-test
	@$(MAKE) -k -j$$(nproc) --no-print-directory all programs $(CRC_TESTS) $(SQL_TESTS); \
	.ci/sum $(TESTS) $(CRC_TESTS) $(EXT_TEST) $(SQL_TESTS) sql-tests/run \
	  '$(PYTHON) sql-tests/differential.py' '$(PYTHON) sql-tests/shapes.py' \
	  '$(PYTHON) sql-tests/processes.py' '$(PYTHON) sql-tests/groups.py' \
	  '$(PYTHON) sql-tests/isolation.py' '$(PYTHON) sql-tests/lifecycle.py' \
	  '$(PYTHON) sql-tests/interrupts.py' \
	  bitcask/tests/interop/run sql-tests/demo/check .ci/install-check .ci/readme-check

# What goes on for as long as one likes.
STRESS = test_kills test_processes test_threads test_model
stress: setup-test
	@$(MAKE) -k -j$$(nproc) --no-print-directory programs; \
	KILLS=$(KILLS) SECONDS_EACH=$(SECS) MODEL_OPS=$$(($(SECS) * 20000)) \
	  .ci/sum $(STRESS:%=$(BUILD)/tests/%) \
	  "$(PYTHON) sql-tests/differential.py $$(date +%s) $$(($(SECS) * 20))" \
	  '$(PYTHON) sql-tests/groups.py' '$(PYTHON) sql-tests/isolation.py'

# Do the tests notice what they are there to notice?  Half an hour, or ONLY=NAME.
mutants: setup-test
	@bitcask/tests/mutants/run

# The SQL cases on other SQLites; with a + the module is compiled in.
VERSIONS = 3.31.1 3.31.1+ 3.36.0 3.41.2 3.45.1 3.49.2 3.54.1 3.54.1+
test-versions: setup-versions all
	@.ci/sum $(foreach version,$(VERSIONS),'sql-tests/versions/run $(version)')

test-clients: setup-clients all
	@.ci/sum sql-tests/clients/run

SANITIZE_asan  = -fsanitize=address,undefined
SANITIZE_ubsan = -fsanitize=undefined
SANITIZE_tsan  = -fsanitize=thread
SANITIZED_asan  = $(TESTS) $(EXT_TEST)
SANITIZED_ubsan = $(TESTS) $(EXT_TEST)
# What is random is the same code again: a part of it is enough here.
SOME = SEEDS=2 MODEL_OPS=80000
# Where there is one thread there is nothing to find.
SANITIZED_tsan  = $(patsubst bitcask/tests/%.c,$(BUILD)/tests/%,$(shell grep -lE 'pthread|cpus' $(TEST_SRC)))
asan ubsan tsan: setup-sanitize
	@$(MAKE) -k -j$$(nproc) --no-print-directory programs BUILD=build/$@ CC=clang \
	  CFLAGS='-O1 -g -fno-omit-frame-pointer -fno-sanitize-recover=all $(SANITIZE_$@)'; \
	$(SOME) .ci/sum $(patsubst $(BUILD)/%,build/$@/%,$(SANITIZED_$@) $(STATIC))

fuzz: setup-sanitize
	bitcask/fuzz/run $(FUZZ_SECS)

lint: setup-lint
	@.ci/lint

format: setup-format
	clang-format -i $$(find bitcask ext sql-tests -name '*.[ch]')

bench: setup-bench all $(BUILD)/bench
	$(BUILD)/bench

install: all
	install -d $(addprefix $(DESTDIR)$(PREFIX)/,include lib/pkgconfig lib/sqlite3)
	install -m 644 bitcask/bitcask.h $(DESTDIR)$(PREFIX)/include
	install -m 644 $(BUILD)/libbitcask.a $(DESTDIR)$(PREFIX)/lib
	install -m 755 $(BUILD)/bitcask.so $(DESTDIR)$(PREFIX)/lib/sqlite3
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBS@|$(LIBS)|' \
	  -e "s|@VERSION@|$$(sed -n 's/^#define BITCASK_VERSION "\(.*\)"/\1/p' bitcask/bitcask.h)|" \
	  .ci/bitcask.pc.in >$(DESTDIR)$(PREFIX)/lib/pkgconfig/bitcask.pc

clean:
	rm -rf build

programs: $(TESTS) $(EXT_TEST) $(STATIC)
objects: $(OBJ)

$(BUILD)/crc32-from: | setup-build
	@mkdir -p $(@D)
	@if pkg-config --exists libdeflate; then echo libdeflate; else echo zlib; fi 2>/dev/null >$@

$(EXT_OBJ): PRIVATE =
$(FUZZ_OBJ): PRIVATE = -Ibitcask/src -Ibitcask/tests -Iext
$(BUILD)/obj/sql-tests/%.o: PRIVATE = -Iext -Ibitcask/tests

$(BUILD)/obj/%.o: %.c Makefile | setup-build $(BUILD)/crc32-from
	@mkdir -p $(@D)
	@echo 'compile $<'
	@$(COMPILE) $(CRC_FLAGS_$(CRC)) -c -o $@ $<

$(BUILD)/libbitcask.a: $(LIB_OBJ)
	@echo 'link $@'
	@rm -f $@
	@$(AR) rcs $@ $^

# One symbol gets out: the entry point.
# nodelete: if an init fails half-way SQLite unloads the module and keeps what it
# had registered.
$(BUILD)/bitcask.so: $(EXT_OBJ) $(BUILD)/libbitcask.a
	@echo 'link $@'
	@$(CC) $(CFLAGS) -shared -Wl,--exclude-libs,ALL -Wl,-z,defs,-z,nodelete -o $@ $^ $(LIBS)

$(TESTS): $(BUILD)/tests/%: $(BUILD)/obj/bitcask/tests/%.o $(AID_OBJ) $(BUILD)/libbitcask.a
	@mkdir -p $(@D)
	@echo 'link $@'
	@$(CC) $(CFLAGS) $(WRAP) -o $@ $^ $(LIBS)

# What of the module needs neither SQLite nor the engine, with SQLite for a judge.
$(EXT_TEST): $(BUILD)/tests/%: $(BUILD)/obj/sql-tests/%.o $(BUILD)/obj/ext/record.o
	@mkdir -p $(@D)
	@echo 'link $@'
	@$(CC) $(CFLAGS) -o $@ $^ -lsqlite3 -lm

# The CRC-32 test once more with each of the two libraries.
$(CRC_TESTS): $(BUILD)/tests/test_crc32-%: bitcask/tests/test_crc32.c bitcask/src/crc32.c $(AID_OBJ) $(BUILD)/libbitcask.a
	@mkdir -p $(@D)
	@echo 'link $@'
	@$(COMPILE) $(CRC_FLAGS_$*) -MF $@.d $(WRAP) -o $@ $^ $(CRC_LIBS_$*) $(LIBS)

# The life of a connection, with the module loaded and with it linked statically.
$(BUILD)/tests/test_lifecycle: $(call objects,sql-tests/test_lifecycle.c bitcask/tests/tempdir.c) | $(BUILD)/bitcask.so
	@mkdir -p $(@D)
	@echo 'link $@'
	@$(CC) $(CFLAGS) -o $@ $^ -lsqlite3 -lpthread

$(STATIC): sql-tests/test_lifecycle.c $(EXT_OBJ) $(call objects,bitcask/tests/tempdir.c) $(BUILD)/libbitcask.a
	@mkdir -p $(@D)
	@echo 'link $@'
	@$(COMPILE) -DSQLITE_CORE -MF $@.d -o $@ $(call sources,ext/*.c) $(filter-out $(EXT_OBJ),$^) -lsqlite3 $(LIBS)

$(BUILD)/bench: $(BENCH_OBJ) $(BUILD)/libbitcask.a
	@echo 'link $@'
	@$(CC) $(CFLAGS) -o $@ $^ -lsqlite3 -llmdb -lm $(LIBS)

-include $(OBJ:.o=.d)
