/** Certificates for `localhost`, made anew each time so that no key lies in the repository. Needs the program openssl. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

export interface SignedCertificateFiles extends CertificateFiles {
  /** The authority's certificate, for whoever is to trust the other. */
  readonly authority: string;
}

const NAMES = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];

/** Writes a certificate that nobody has to trust, and its key, in PEM, into `dir`. */
export function localhostCertificate(dir: string): CertificateFiles {
  return make(dir, 'localhost', NAMES);
}

/** The same, signed by an authority that is in `dir` too. */
export function signedLocalhostCertificate(dir: string): SignedCertificateFiles {
  const authority = make(dir, 'authority', ['-subj', '/CN=authority of a test']);
  const signed = ['-CA', authority.cert, '-CAkey', authority.key, '-addext', 'basicConstraints=critical,CA:FALSE'];
  return { ...make(dir, 'signed', [...NAMES, ...signed]), authority: authority.cert };
}

function make(dir: string, name: string, options: readonly string[]): CertificateFiles {
  const files = { cert: join(dir, `${name}-cert.pem`), key: join(dir, `${name}-key.pem`) };
  const args = [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
    ...['-keyout', files.key, '-out', files.cert],
  ];
  execFileSync('openssl', [...args, ...options], { stdio: ['ignore', 'ignore', 'pipe'] });
  return files;
}
