/** The one exception of the package: a stable code and a sentence. */
import type { VolunteerErrorCode, VolunteerErrorInfo } from '../public/types.ts';

export class VolunteerError extends Error {
  readonly code: VolunteerErrorCode;

  constructor(code: VolunteerErrorCode, message: string) {
    super(message);
    this.name = 'VolunteerError';
    this.code = code;
  }

  info(): VolunteerErrorInfo {
    return { code: this.code, message: this.message };
  }
}

/** What was thrown, as a sentence. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
