/** A relay's metrics, read back from the text that it serves. */

export class Metrics {
  readonly #lines: readonly string[];

  constructor(text: string) {
    this.#lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  }

  /** The sum of a metric's series, of those only that carry all the labels. A metric without a series is zero. */
  sum(name: string, labels: Readonly<Record<string, string>> = {}): number {
    const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
    const series = this.#lines.filter((line) => {
      const [full = ''] = line.split(' ', 1);
      const [own = '', rest = ''] = full.split('{', 2);
      return own === `shoal_relay_${name}` && wanted.every((label) => rest.includes(label));
    });
    return series.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
  }
}
