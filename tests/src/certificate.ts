/** A certificate for `localhost` that nobody has to trust, made anew each time so that no key lies in the repository. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

/** Writes both files, in PEM, into `dir`. Needs the program openssl. */
export function localhostCertificate(dir: string): CertificateFiles {
  const files = { cert: join(dir, 'localhost-cert.pem'), key: join(dir, 'localhost-key.pem') };
  const args = [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
    ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'],
    ...['-keyout', files.key, '-out', files.cert],
  ];
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  return files;
}
