/** States and errors in words. */
import type { VolunteerErrorCode, VolunteerState } from '@shoal/worker';

export type Tone = 'calm' | 'busy' | 'good' | 'warn' | 'bad';

export interface Words {
  readonly title: string;
  readonly detail: string;
  readonly tone: Tone;
}

export function describeState(state: VolunteerState): Words {
  switch (state.kind) {
    case 'idle':
      return { title: 'Not running', detail: 'Nothing is computed and nothing is connected.', tone: 'calm' };
    case 'starting':
      return state.step === 'relay'
        ? { title: 'Asking the relay how to join', detail: '', tone: 'busy' }
        : { title: 'Loading the program', detail: 'Once; your browser keeps it.', tone: 'busy' };
    case 'connecting':
      return {
        title: 'Connecting',
        detail: state.attempt === 0 ? '' : `Attempt ${state.attempt + 1}`,
        tone: 'busy',
      };
    case 'waiting':
      return { title: 'Connected, waiting for work', detail: state.reason, tone: 'good' };
    case 'working':
      return { title: 'Working', detail: 'Your tab is computing.', tone: 'good' };
    case 'paused':
      return state.by === 'hidden'
        ? { title: 'Resting while the tab is hidden', detail: '', tone: 'calm' }
        : { title: 'Paused', detail: '', tone: 'calm' };
    case 'reconnecting':
      return {
        title: 'Connection lost',
        detail: `Trying again in ${Math.max(1, Math.round(state.retryMs / 1000))} s. ${state.reason}`.trim(),
        tone: 'warn',
      };
    case 'stopping':
      return { title: 'Stopping', detail: 'Giving open work back.', tone: 'busy' };
    case 'failed':
      return { title: FAILURES[state.error.code], detail: state.error.message, tone: 'bad' };
  }
}

const FAILURES: Readonly<Record<VolunteerErrorCode, string>> = {
  consent_missing: 'You have not agreed yet',
  consent_expired: 'Your agreement has ended',
  payout_address_malformed: 'The payout address cannot be right',
  join_secret_malformed: 'This join link is damaged',
  join_secret_needed: 'This swarm is private',
  no_webrtc: 'This browser cannot connect',
  relay_unreachable: 'The relay cannot be reached',
  relay_answer_malformed: 'The relay gave a strange answer',
  relay_has_no_tab_address: 'This relay takes no tabs',
  relay_refused: 'The relay refused this tab',
  wrong_network: 'The relay belongs to another network',
  program_not_loaded: 'The program could not be loaded',
  program_crashed: 'The program stopped unexpectedly',
  config_refused: 'The settings were refused',
};
