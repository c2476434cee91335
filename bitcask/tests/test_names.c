/*
** test_names.c - names in a directory that are not what they seem: links to files of others,
** FIFOs, sockets, devices.  Nothing waits for them, nothing outside the directory is touched,
** and an error names the file and says what it is.
*/
#include "craft.h"
#include "engine.h"
#include "test.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>

enum { PATIENCE_SECS = 60 };

typedef enum kind { LINK, DANGLING, FIFO, SOCKET, DEVICE, N_KINDS } kind;

static const char *const words[N_KINDS] = {"symbolic link", "symbolic link", "FIFO", "socket",
                                           "device"};
static const char *const names[] = {
    "1.bitcask.data",     "9.bitcask.data",     "1.bitcask.hint",      "bitcask.state",
    "bitcask.write.lock", "bitcask.merge.lock", "bitcask.create.lock", "bitcask.keydir",
    "bitcask.keydir.tmp", "1.bitcask.hint.tmp", "9.bitcask.data.cut-0"};

static const char outside_text[] = "somebody's words, worth more than a page of 4096 bytes\n";

/* A file of somebody, beside the directories. */
static const char *make_outside(void) {
  static char path[4096];
  FILE *f;
  snprintf(path, sizeof path, "%s-outside", craft_dir());
  f = fopen(path, "w");
  if (!f || fputs(outside_text, f) < 0 || fclose(f)) abort();
  return path;
}

static void check_outside(const char *path, const char *name) {
  char got[sizeof outside_text + 64] = {0};
  FILE *f = fopen(path, "r");
  size_t n = f ? fread(got, 1, sizeof got - 1, f) : 0;
  if (n != sizeof outside_text - 1 || strcmp(got, outside_text))
    TEST_FAIL("%s: the file outside is changed: '%.60s'", name, got);
  if (f) fclose(f);
}

static void make_socket(const char *path) {
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  int s = socket(AF_UNIX, SOCK_STREAM, 0), here = open(".", O_RDONLY);
  char dir[4096];

  /* The path may be too long for an address. */
  snprintf(dir, sizeof dir, "%s", path);
  *strrchr(dir, '/') = 0;
  snprintf(a.sun_path, sizeof a.sun_path, "%s", strrchr(path, '/') + 1);
  if (s < 0 || here < 0 || chdir(dir) || bind(s, (struct sockaddr *)&a, sizeof a) || fchdir(here))
    abort();
  close(s);
  close(here);
}

/* False: this user cannot make one. */
static bool put_in_place(const char *path, kind k, const char *outside) {
  (void)unlink(path);
  switch (k) {
  case LINK:
    return !symlink(outside, path);
  case DANGLING:
    return !symlink("/nonexistent/bitcask-test", path);
  case FIFO:
    return !mkfifo(path, 0666);
  case SOCKET:
    make_socket(path);
    return true;
  default:
    return !mknod(path, S_IFCHR | 0666, makedev(1, 5));
  }
}

/* A directory of ours with a full file and its hint. */
static const char *make_ours(void) {
  const char *dir = craft_dir();
  bitcask_options o;
  bitcask_error e;
  bitcask *bc;

  craft_options(&o);
  o.max_file_size = 40;
  bc = craft_open(dir, &o);
  CHECK_OK(bitcask_put(bc, "a", 1, "1", 1, &e), &e);
  CHECK_OK(bitcask_put(bc, "b", 1, "a long value that begins a file", 31, &e), &e);
  CHECK_OK(bitcask_close(bc, &e), &e);
  return dir;
}

/* Everything that may be done with a directory; the first error. */
static int use(const char *dir, bool read_only, bitcask_error *e) {
  bitcask_merge_options all = {.kind = BITCASK_MERGE_ALL};
  bitcask_options o;
  bitcask_buf value = {0};
  bitcask *bc = NULL;
  int rc;

  craft_options(&o);
  o.read_only = read_only;
  rc = bitcask_open(dir, &o, &bc, e);
  if (rc) return rc;
  (void)bitcask_get(bc, "a", 1, &value, NULL);
  if (!read_only) {
    rc = bitcask_put(bc, "new", 3, "value", 5, e);
    if (!rc) rc = bitcask_merge(bc, &all, NULL, e);
  }
  bitcask_buf_free(&value);
  (void)bitcask_close(bc, NULL);
  return rc;
}

/* Names that a call must fail for; the others are caches, or made anew. */
static bool must_fail(const char *name, bool read_only) {
  if (strstr(name, ".tmp") || strstr(name, ".cut-") || strstr(name, "keydir")) return false;
  return !(read_only && strstr(name, ".lock"));
}

static void check_name(const char *name, kind k, bool read_only) {
  const char *dir = make_ours(), *outside = make_outside();
  char path[4096];
  bitcask_error e = {0};
  int rc;

  snprintf(path, sizeof path, "%s/%s", dir, name);
  if (!put_in_place(path, k, outside)) return;
  rc = use(dir, read_only, &e);
  if (must_fail(name, read_only) && (!rc || !strstr(e.text, name) || !strstr(e.text, words[k])))
    TEST_FAIL("%s as a %s: %d: %s", name, words[k], rc, e.text);
  if (!must_fail(name, read_only) && rc) TEST_FAIL("%s as a %s: %s", name, words[k], e.text);
  check_outside(outside, name);
}

static void nothing_is_what_it_seems(void) {
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    for (int k = 0; k < N_KINDS; k++) {
      for (int read_only = 0; read_only < 2; read_only++) {
        alarm(PATIENCE_SECS); /* who waits for a FIFO waits for ever */
        check_name(names[i], (kind)k, read_only);
      }
    }
  }
  alarm(0);
}

static void as_an_ordinary_user(void) {
  int status = -1;
  pid_t child = geteuid() ? -1 : fork();

  if (child < 0) return nothing_is_what_it_seems(); /* that is what we are */
  if (!child) {
    char base[] = "/tmp/bitcask-names-XXXXXX";
    if (!mkdtemp(base) || chmod(base, 0777) || chown(base, 65534, 65534) || setgid(65534) ||
        setuid(65534) || setenv("TMPDIR", base, 1))
      _exit(2);
    test_bad = 0;
    nothing_is_what_it_seems();
    _exit(test_bad != 0);
  }
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
}

/* Not a data file at all, of that name: it is kept, whatever it is. */
static void what_is_cut_is_kept(void) {
  const char *dir = make_ours();
  char path[4096], got[sizeof outside_text] = {0};
  bitcask_error e;
  FILE *f;

  snprintf(path, sizeof path, "%s/9.bitcask.data", dir);
  f = fopen(path, "w");
  if (!f || fputs(outside_text, f) < 0 || fclose(f)) abort();
  CHECK_OK(use(dir, false, &e), &e);
  snprintf(path, sizeof path, "%s/9.bitcask.data.cut-0", dir);
  f = fopen(path, "r");
  CHECK(f != NULL);
  if (f) {
    CHECK_EQ(fread(got, 1, sizeof got, f), sizeof outside_text - 1);
    fclose(f);
  }
  CHECK_TEXT(got, outside_text);
}

/* Another process exchanges the name of a file for a link, all the time. */
static void a_name_that_changes(void) {
  const char *dir = make_ours(), *outside = make_outside();
  char path[4096], aside[4096];
  bitcask_error e;
  pid_t child;

  snprintf(path, sizeof path, "%s/2.bitcask.data", dir);
  snprintf(aside, sizeof aside, "%s-aside", dir);
  child = fork();
  if (!child) {
    for (;;) {
      if (rename(path, aside) || symlink(outside, path)) _exit(0);
      if (unlink(path) || rename(aside, path)) _exit(0);
    }
  }
  for (int i = 0; i < 300; i++) {
    (void)use(dir, false, &e);
    e.text[0] = 0;
  }
  kill(child, SIGKILL);
  CHECK_EQ(waitpid(child, NULL, 0), child);
  check_outside(outside, "2.bitcask.data");
}

/* Between the look at a name and the opening of it a link can come there. */
static void no_link_is_opened(void) {
  const char *dir = craft_dir(), *outside = make_outside();
  char path[4096], link[4200];
  struct stat there, opened;
  int fd, n_opened = 0, n_wrong = 0;
  pid_t child;

  snprintf(path, sizeof path, "%s/file", dir);
  snprintf(link, sizeof link, "%s/link", dir);
  craft_write_file(dir, "file", "", 0);
  CHECK_EQ(symlink(outside, link) | stat(outside, &there), 0);
  child = fork();
  while (!child) {
    if (renameat2(AT_FDCWD, path, AT_FDCWD, link, RENAME_EXCHANGE)) _exit(0);
  }
  for (int i = 0; n_opened < 5000 && i < 1000000; i++) {
    if (bc_env_posix.open(NULL, path, BC_OPEN_WRITE, &fd)) continue;
    n_opened++;
    if (fstat(fd, &opened) || opened.st_ino == there.st_ino) n_wrong++;
    bc_env_posix.close(NULL, fd);
  }
  kill(child, SIGKILL);
  CHECK_EQ(waitpid(child, NULL, 0), child);
  CHECK(n_opened > 0);
  CHECK_EQ(n_wrong, 0);
  (void)unlink(path); /* craft.c removes files, and no links to them */
  (void)unlink(link);
}

/* Somebody takes a name that was free a moment ago. */
static int take_side_name(void *ctx, const char *path, bc_stat *out) {
  int e = bc_env_posix.lstat(ctx, path, out);
  FILE *f = e == ENOENT && strstr(path, ".cut-") ? fopen(path, "w") : NULL;
  if (f && (fputs(outside_text, f) < 0 || fclose(f))) abort();
  return e;
}

/* What is cut goes to a file of its own, or is not cut. */
static void side_name_that_is_taken(void) {
  const char *dir = make_ours();
  bc_env env = bc_env_posix;
  bitcask_options o;
  bitcask_error e;
  bitcask *bc;
  char path[4096];

  env.lstat = take_side_name;
  craft_options(&o);
  craft_write_file(dir, "9.bitcask.data", "no record at all", 16);
  CHECK_OK(bc_open_env(dir, &o, &env, &bc, &e), &e);
  CHECK(bitcask_put(bc, "new", 3, "value", 5, &e) != BITCASK_OK);
  CHECK_OK(bitcask_close(bc, &e), &e);
  CHECK_EQ(craft_size(dir, "9.bitcask.data"), 16);
  snprintf(path, sizeof path, "%s/9.bitcask.data.cut-0", dir);
  check_outside(path, "9.bitcask.data.cut-0");
}

int main(void) {
  RUN(nothing_is_what_it_seems);
  RUN(as_an_ordinary_user);
  RUN(what_is_cut_is_kept);
  RUN(a_name_that_changes);
  RUN(no_link_is_opened);
  RUN(side_name_that_is_taken);
  return test_done();
}
