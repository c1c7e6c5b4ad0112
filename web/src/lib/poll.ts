/** Repeats a request while somebody looks: never two at once, and not while the tab is hidden. */

export function poll(everyMs: number, ask: () => Promise<void>): () => void {
  let stopped = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const round = async (): Promise<void> => {
    if (!document.hidden) await ask();
    if (!stopped) timer = setTimeout(() => void round(), everyMs);
  };
  void round();
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}
