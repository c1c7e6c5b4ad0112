/** The worker script: loads the compiled core and passes messages between it and the page. Nothing else. */
import init, * as core from '#wasm';
import { messageOf } from './errors.ts';
import type { FromWorker, ToWorker } from './messages.ts';
import type { VolunteerErrorCode } from '../public/types.ts';

let running: core.Worker | null = null;
/** What was asked for while the core was being loaded. */
const early: ((worker: core.Worker) => void)[] = [];

self.onmessage = (message: MessageEvent<ToWorker>) => {
  const { data } = message;
  switch (data.type) {
    case 'start':
      void start(data);
      break;
    case 'pause':
      steer((worker) => worker.setPaused(data.paused));
      break;
    case 'share':
      steer((worker) => worker.setShare(data.share));
      break;
    case 'limits':
      steer((worker) => worker.setLimits(data.limits));
      break;
    case 'connection':
      post({ type: 'connection', connection: running?.connection() ?? null });
      break;
    case 'stop':
      steer((worker) => worker.stop());
      break;
  }
};

function steer(command: (worker: core.Worker) => void): void {
  if (running === null) early.push(command);
  else command(running);
}

async function start({ config, rtc }: Extract<ToWorker, { type: 'start' }>): Promise<void> {
  try {
    await init();
    running = new core.Worker();
  } catch (thrown) {
    fail('program_not_loaded', thrown);
    return;
  }
  for (const command of early.splice(0)) command(running);
  try {
    const adapter = config.use_gpu ? ((await core.webgpu_info())?.name ?? '') : '';
    post({ type: 'device', device: { backend: 'cpu', adapter } });
    let usesGpu = false;
    await running.start(config, rtc, (event) => {
      // The core falls back to the CPU if the adapter fails its self-test, so only work proves that it is used.
      if (event.type === 'computing' && event.backend === 'webgpu' && !usesGpu) {
        usesGpu = true;
        post({ type: 'device', device: { backend: 'webgpu', adapter } });
      }
      post({ type: 'core', event });
    });
    post({ type: 'ended' });
  } catch (thrown) {
    fail(codeOf(thrown), thrown);
  }
}

/** The core's code of a failure as the package's; both are stable. */
function codeOf(thrown: unknown): VolunteerErrorCode {
  const code = thrown instanceof Error && 'code' in thrown ? thrown.code : undefined;
  switch (code) {
    case 'config_malformed':
      return 'config_refused';
    case 'relay_refused':
    case 'wrong_network':
      return code;
    default:
      return 'program_crashed';
  }
}

function fail(code: VolunteerErrorCode, thrown: unknown): void {
  post({ type: 'failed', error: { code, message: messageOf(thrown) } });
}

function post(message: FromWorker): void {
  self.postMessage(message);
}
