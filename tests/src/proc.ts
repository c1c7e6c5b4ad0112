/** What Linux says of a process in /proc: processor time, memory, descriptors. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** Linux counts processor time in hundredths of a second, whatever the kernel's own clock does. */
const MS_PER_TICK = 10;

/** Milliseconds of processor time used so far, all threads, user and system. */
export function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${String(pid)}/stat`, 'utf8');
  // The name, in parentheses, may contain anything; the fields after it are numbered from 3.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = (number: number): number => Number(fields[number - 3]);
  return (ticks(14) + ticks(15)) * MS_PER_TICK;
}

export interface Memory {
  readonly resident: number;
  /** What of the resident memory belongs to no file. */
  readonly anonymous: number;
  /** The most that was ever resident. */
  readonly peak: number;
}

/** Bytes of memory. */
export function memory(pid: number): Memory {
  const status = readFileSync(`/proc/${String(pid)}/status`, 'utf8');
  const field = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) * 1024;
  return { resident: field('VmRSS'), anonymous: field('RssAnon'), peak: field('VmHWM') };
}

/** Open descriptors (sockets, files, pipes), without those of files whose path begins with `except`. */
export function descriptors(pid: number, except?: string): number {
  const folder = `/proc/${String(pid)}/fd`;
  const counts = (descriptor: string): boolean => {
    try {
      return except === undefined || !readlinkSync(`${folder}/${descriptor}`).startsWith(except);
    } catch {
      // Closed since it was listed.
      return false;
    }
  };
  return readdirSync(folder).filter(counts).length;
}
