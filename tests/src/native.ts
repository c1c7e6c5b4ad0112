/** Native workers: `shoal work` processes, each with a key of its own. */
import { join } from 'node:path';
import { program } from './environment.ts';
import { Program, type ProgramOptions } from './process.ts';
import type { Relay } from './relay.ts';

export interface NativeOptions extends Pick<ProgramOptions, 'env'> {
  /** EVM address to pay. */
  readonly payout?: string;
  /** Multiaddress of the relay to dial, and no other way to it; all that its join link names if left out. */
  readonly address?: string;
  /** Another program than the built one: the cheating build. */
  readonly file?: string;
  readonly args?: readonly string[];
}

let count = 0;

export function startNative(relay: Relay, options: NativeOptions = {}): Program {
  const name = `native-${(count += 1)}`;
  const args = [
    'work',
    ...(options.address === undefined ? ['--join', relay.link] : ['--relay', options.address, '--network', relay.join.network]),
    ...['--data-dir', join(relay.dir, name)],
    ...(options.payout === undefined ? [] : ['--payout', options.payout]),
    ...(options.args ?? []),
  ];
  return new Program(options.file ?? program('shoal'), args, join(relay.dir, `${name}.log`), options);
}
