/** To the first product. */
import { load } from '../jax/subject.ts';
import { TINY } from './tiny.ts';

const made = await (await load()).prepare(TINY);
postMessage(made?.result ?? null);
