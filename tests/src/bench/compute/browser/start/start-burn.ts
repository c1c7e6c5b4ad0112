/** To the first product. */
import { load } from '../burn.ts';
import { TINY } from './tiny.ts';

const made = await (await load()).prepare(TINY);
postMessage(made?.result ?? null);
