/*
 * scheduling.h - how the kernel is to treat a process of ours.
 */
#ifndef ZDM_SCHEDULING_H
#define ZDM_SCHEDULING_H

/* Others that wake up on this process' core get it within a fraction of a millisecond, and short
 * sleeps take as long as they are meant to. Nothing where the kernel knows of no such thing. */
void zdm_schedule_gently(void);

#endif
