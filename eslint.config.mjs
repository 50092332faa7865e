// What eslint holds the lab's modules and their tests to. Names that do not exist are found by tsc, which knows types.
import js from "@eslint/js";

export default [
  {
    files: ["src/helpers/lab/web/*.js", "tests/lab/web/*.js"],
    rules: {
      ...js.configs.recommended.rules,
      "no-undef": "off",
      complexity: ["error", 10],
      eqeqeq: "error",
      "max-depth": ["error", 4],
      "max-lines-per-function": ["error", 50],
      "no-var": "error",
      "prefer-const": "error",
    },
  },
];
