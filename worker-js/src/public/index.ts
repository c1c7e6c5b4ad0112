/**
 * Entry of the package: small, and without any effect when it is imported. The code that connects and computes is
 * loaded by `Volunteer.start`, after the visitor agreed.
 */
export { createVolunteer } from '../internal/volunteer.ts';
export { CONSENT_LIFETIME_MS, CONSENT_VERSION } from '../internal/consent.ts';
export { isPayoutAddress } from '../internal/payout.ts';
export { joinSecretOf } from '../internal/join-link.ts';
export type {
  Backend,
  ChainInfo,
  ConnectionStats,
  ConsentStatus,
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
