// Prints "N passed, N failed" from a JSON test report, and exits non-zero if a test failed or none ran.
//
//   node scripts/ci-summary.mjs REPORT

import { readFileSync } from "node:fs";

const counts = { passed: 0, failed: 0, skipped: 0 };

try {
  const report = JSON.parse(readFileSync(process.argv[2] ?? "", "utf8"));
  for (const file of report.testResults) {
    let failedInFile = 0;
    for (const test of file.assertionResults) {
      if (test.status === "passed") counts.passed += 1;
      else if (test.status === "failed") failedInFile += 1;
      else counts.skipped += 1;
    }
    // A file that could not be loaded, or whose hooks failed, has failed even if none of its tests has.
    counts.failed += failedInFile === 0 && file.status === "failed" ? 1 : failedInFile;
  }
} catch (error) {
  console.error(`no usable test report: ${error.message}`);
  process.exitCode = 1;
}

if (counts.failed > 0 || counts.passed === 0) process.exitCode = 1;
const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : "";
console.log(`${counts.passed} passed, ${counts.failed} failed${skipped}`);
