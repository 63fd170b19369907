#include <sslcake/autograd/tape.hpp>

#ifndef SSLCAKE_COMPILED
#error "sslcake::compiled must define SSLCAKE_COMPILED for those who link it"
#endif

int main() {
  sslcake::Tensor x = sslcake::ones({3});
  x.set_requires_grad();
  sslcake::backward(x, sslcake::full({3}, 2));
  return x.grad().data<float>()[1] == 2.0f ? 0 : 1;
}
