/** To the first product. */
import { load } from '../shoal.ts';
import { TINY } from './tiny.ts';

const made = await (await load()).prepare(TINY);
postMessage(made?.result ?? null);
