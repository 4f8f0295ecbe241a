// Allure's view of one run; `acceptance report allure` says which, and where the report goes.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const { ACCEPTANCE_RUN_FOLDER: folder, ACCEPTANCE_ALLURE_OUTPUT: output, ACCEPTANCE_ALLURE_HISTORY: history } =
  process.env;
const { run, summary, criteria } = JSON.parse(readFileSync(join(folder, "traceability.json"), "utf8"));
const name = `Velero acceptance ${run.id}`;

// A report that is made again must not count its run twice.
const known = existsSync(history) && readFileSync(history, "utf8").includes(JSON.stringify(name));

const metrics = {};
for (const { id, requirement, measurements } of criteria)
  for (const { name: what, unit, comparator } of measurements)
    metrics[`${id} ${what}`] = {
      title: `${id} ${what.replaceAll("_", " ")}`,
      unit,
      group: requirement,
      better: comparator.startsWith("<") ? "lower" : "higher",
    };

export default {
  name,
  output,
  resultsDir: join(folder, "allure-results"),
  historyPath: history,
  historyLimit: 60,
  appendHistory: !known,
  variables: { run: run.id, target: run.target, profile: run.profile, commit: run.commit || "unknown" },
  performance: {
    groups: Object.fromEntries(summary.requirements.map(({ id, title }) => [id, { title: `${id} ${title}` }])),
    metrics,
  },
  // The first that fits counts.
  categories: [
    { name: "BLOCKED: a precondition is missing", matchedStatuses: ["broken"], messageRegex: ".*\\bBlocked: .*" },
    { name: "INCONCLUSIVE: what had to be seen did not happen", matchedStatuses: ["broken"], messageRegex: ".*\\bInconclusive: .*" },
    { name: "A limit is broken", matchedStatuses: ["failed"], messageRegex: ".*\\bCriterionNotMet: .*" },
    { name: "Failed otherwise", matchedStatuses: ["failed", "broken"] },
  ],
  plugins: {
    awesome: {
      options: {
        reportName: name,
        singleFile: true,
        reportLanguage: "en",
        theme: "auto",
        groupBy: ["epic", "feature"],
      },
    },
  },
};
