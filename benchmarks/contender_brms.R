# The reference problem by brms and Stan: Rscript contender_brms.R RUNS CACHE DRAWS MARK
#
# RUNS is a table of x, z and y: ln N, ln D and ln L relative to their reference values. The density
# is that of the card `chinchilla`, in the same parametrisation. brms cannot express a prior on an
# exponent that is a ratio of parameters, so that part is written in Stan.
given <- commandArgs(trailingOnly = TRUE)
runs <- read.csv(given[1])
kept <- file.path(given[2], "brms.rds")
suppressPackageStartupMessages(library(brms))
# R distributions that come without these headers find those of the system.
headers <- list(boost_lib = "/usr/include", eigen_lib = "/usr/include/eigen3")
for (name in names(headers)) {
  if (!nzchar(rstan::rstan_options(name))) do.call(rstan::rstan_options, headers[name])
}

law <- bf(
  y ~ level + log(1 + exp(p - exp(n - p) * total * x) + exp(q - exp(d - q) * total * z)) -
    log(total),
  nlf(total ~ 1 + exp(p) + exp(q)),
  level + n + d + p + q ~ 1,
  nl = TRUE
)
priors <- c(
  prior(normal(0, 0.3), nlpar = "level"),
  prior(normal(log(0.05), 0.7), nlpar = "n"),
  prior(normal(log(0.05), 0.7), nlpar = "d"),
  # brms requires a prior for each parameter; these are effectively flat.
  prior(normal(0, 1e6), nlpar = "p"),
  prior(normal(0, 1e6), nlpar = "q"),
  prior(normal(0, 0.02), class = "sigma"),
  prior(gamma(2, 0.1), class = "nu")
)
of_exponents <- stanvar(
  scode = "
    real log_total = log1p(exp(b_p[1]) + exp(b_q[1]));
    target += normal_lpdf(b_n[1] + log_total - b_p[1] | log(0.4), 0.45);
    target += normal_lpdf(b_d[1] + log_total - b_q[1] | log(0.4), 0.45);
    target += -log_total;
  ",
  block = "model"
)
# brms draws initial values between -2 and 2, where this law often has no finite density.
start <- function() {
  list(
    b_level = array(0), b_n = array(-3), b_d = array(-3), b_p = array(-1.8), b_q = array(-1.8),
    sigma = 0.02, nu = 10
  )
}

if (file.exists(kept)) {
  compiled <- readRDS(kept)
} else {
  compiled <- brm(law, runs, student(), priors, stanvars = of_exponents, chains = 0, silent = 2)
  saveRDS(compiled, kept)
}
once <- function(seed) {
  update(
    compiled,
    recompile = FALSE, chains = 4, cores = 2, iter = 2000, warmup = 1000, seed = seed,
    init = start, refresh = 0, silent = 2
  )
}

found <- once(1)
print(posterior_summary(found))
cat(given[4], "\n", sep = "")
started <- proc.time()[["elapsed"]]
found <- once(2)
refit <- proc.time()[["elapsed"]] - started
steps <- sum(sapply(
  rstan::get_sampler_params(found$fit, inc_warmup = TRUE),
  function(chain) sum(chain[, "n_leapfrog__"])
))
draws <- as.data.frame(found$fit)
write.csv(
  data.frame(
    chain = rep(1:4, each = 1000),
    draws[, c("b_level_Intercept", "b_n_Intercept", "b_d_Intercept", "b_p_Intercept",
              "b_q_Intercept", "sigma", "nu")],
    refit = refit,
    steps = steps
  ),
  given[3],
  row.names = FALSE
)
