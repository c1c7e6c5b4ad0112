/** To the first product. */
import { load } from '../ort/subject.ts';
import { TINY } from './tiny.ts';

const made = await (await load()).prepare(TINY);
postMessage(made?.result ?? null);
