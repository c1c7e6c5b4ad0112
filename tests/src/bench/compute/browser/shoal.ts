import type { Subject } from './protocol.ts';
export function load(): Promise<Subject> { return Promise.resolve({ prepare: () => Promise.resolve(null) }); }
