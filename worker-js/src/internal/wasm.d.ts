/** The bindings that `cargo xtask web` writes to `wasm/`, as far as the worker script uses them. */
declare module '#wasm' {
  import type { CoreConfig, CoreConnection, CoreEvent, CoreLimits } from './core.ts';

  export default function init(): Promise<unknown>;

  export class Worker {
    free(): void;
    start(config: CoreConfig, rtc: MessagePort | null, onEvent: (event: CoreEvent) => void): Promise<void>;
    stop(): void;
    setPaused(paused: boolean): void;
    setShare(share: number): void;
    setLimits(limits: CoreLimits): void;
    connection(): CoreConnection | null;
  }

  /** `null` where there is no adapter. */
  export function webgpu_info(): Promise<{ readonly name: string } | null>;
}
