/**
 * Entry of the package: small, and without any effect when it is imported. The code that connects and computes is
 * loaded by `Volunteer.start`, after the visitor agreed.
 */
export { createVolunteer } from '../internal/volunteer.ts';
export { cacheUsage, clearCache } from '../internal/stored-cache.ts';
export { CONSENT_LIFETIME_MS, CONSENT_VERSION } from '../internal/consent.ts';
export { isPayoutAddress } from '../internal/payout.ts';
export { DEFAULT_CACHE_BYTES, MIN_BYTES_PER_SECOND } from '../internal/data-limits.ts';
export { joinSecretOf } from '../internal/join-link.ts';
export type {
  Backend,
  ChainInfo,
  ConnectionStats,
  ConsentStatus,
  DataLimits,
  Device,
  DownloadStats,
  JoinInfo,
  PathStats,
  Power,
  Progress,
  UnitOutcome,
  Volunteer,
  VolunteerConsent,
  VolunteerErrorCode,
  VolunteerErrorInfo,
  VolunteerEvent,
  VolunteerOptions,
  VolunteerState,
} from './types.ts';
