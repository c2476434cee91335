/*
** tempdir.h - a directory of the real file system for one test.
*/
#ifndef TEMPDIR_H
#define TEMPDIR_H

/* Makes one and returns its path, to be given to tempdir_remove; aborts if that
** cannot be done. */
char *tempdir_make(void);

/* Removes it with the files in it, and frees the path. */
void tempdir_remove(char *path);

#endif
