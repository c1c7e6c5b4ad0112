/** The worker script: loads the compiled core and passes messages between it and the page. Nothing else. */
import init, * as core from '#wasm';
import { messageOf } from './errors.ts';
import type { FromWorker, ToWorker } from './messages.ts';
import type { VolunteerErrorCode } from '../public/types.ts';

let running: core.Worker | null = null;

self.onmessage = (message: MessageEvent<ToWorker>) => {
  const { data } = message;
  switch (data.type) {
    case 'start':
      void start(data);
      break;
    case 'pause':
      running?.setPaused(data.paused);
      break;
    case 'share':
      running?.setShare(data.share);
      break;
    case 'stop':
      if (running === null) post({ type: 'ended' });
      else running.stop();
      break;
  }
};

async function start({ config, rtc }: Extract<ToWorker, { type: 'start' }>): Promise<void> {
  try {
    await init();
    running = new core.Worker();
  } catch (thrown) {
    fail('program_not_loaded', thrown);
    return;
  }
  try {
    await running.start(config, rtc, (event) => {
      post({ type: 'core', event });
      if (event.type === 'stopped') post({ type: 'ended' });
    });
    post({ type: 'ended' });
  } catch (thrown) {
    fail('program_crashed', thrown);
  }
}

function fail(code: VolunteerErrorCode, thrown: unknown): void {
  post({ type: 'failed', error: { code, message: messageOf(thrown) } });
}

function post(message: FromWorker): void {
  self.postMessage(message);
}
