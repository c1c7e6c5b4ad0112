/** Nothing: what every worker costs. */
postMessage(null);
