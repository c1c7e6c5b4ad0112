/** The one worker in which everything is measured. Subjects are loaded when they are first asked for. */
import { name, type FromWorker, type Prepared, type Subject, type SubjectName, type ToWorker } from './protocol.ts';

/** Given by V8's flag `--expose-gc`, so that nobody's turn pays for what others left. */
declare const gc: () => void;

const LOADERS: Readonly<Record<SubjectName, () => Promise<{ readonly load: () => Promise<Subject> }>>> = {
  shoal: () => import('./shoal.ts'),
  'shoal relaxed': () => import('./shoal-relaxed.ts'),
  'onnxruntime-web': () => import('./ort/subject.ts'),
  'tfjs-wasm': () => import('./tfjs/subject.ts'),
  'jax-js': () => import('./jax/subject.ts'),
  'jax-js by hand': () => import('./jax/by-hand.ts'),
  burn: () => import('./burn.ts'),
  limit: () => import('./limit.ts'),
};

const subjects = new Map<SubjectName, Promise<Subject>>();
const prepared = new Map<string, Prepared>();

function subject(name: SubjectName): Promise<Subject> {
  const found = subjects.get(name) ?? LOADERS[name]().then(({ load }) => load());
  subjects.set(name, found);
  return found;
}

async function answer(request: ToWorker): Promise<FromWorker> {
  const key = `${request.subject}: ${name(request.workload)}`;
  switch (request.type) {
    case 'prepare': {
      const made = await (await subject(request.subject)).prepare(request.workload);
      if (made !== null) prepared.set(key, made);
      return { type: 'prepared', result: made?.result ?? null };
    }
    case 'turn': {
      const work = prepared.get(key);
      if (work === undefined) throw new Error(`${key} is not prepared`);
      gc();
      // Caches are as a long run leaves them, not as another subject's turn did.
      if (request.times > 1) await work.run(1);
      const start = performance.now();
      await work.run(request.times);
      return { type: 'turned', seconds: (performance.now() - start) / 1000 };
    }
  }
}

onmessage = ({ data }: MessageEvent<ToWorker>) => {
  answer(data).then(
    (message) => postMessage(message),
    (error: unknown) => {
      const message: FromWorker = { type: 'failed', error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
      postMessage(message);
    },
  );
};
