/** What page and worker script say to each other. Both ends are ours and of one build, so shapes are trusted. */
import type { Device, VolunteerErrorInfo } from '../public/types.ts';
import type { CoreConfig, CoreConnection, CoreEvent, CoreLimits } from './core.ts';

export type ToWorker =
  | { readonly type: 'start'; readonly config: CoreConfig; readonly rtc: MessagePort | null }
  | { readonly type: 'pause'; readonly paused: boolean }
  | { readonly type: 'share'; readonly share: number }
  | { readonly type: 'limits'; readonly limits: CoreLimits }
  /** Answered by one `connection`, in order. */
  | { readonly type: 'connection' }
  | { readonly type: 'stop' };

export type FromWorker =
  | { readonly type: 'device'; readonly device: Device }
  | { readonly type: 'core'; readonly event: CoreEvent }
  | { readonly type: 'connection'; readonly connection: CoreConnection | null }
  | { readonly type: 'failed'; readonly error: VolunteerErrorInfo }
  | { readonly type: 'ended' };
