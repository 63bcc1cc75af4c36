"""The operators of TorchScript that a model file may use: arithmetic on its own tensors.

It is an allow-list. What is not in it is refused, and so is every operator that a later version of
torch adds: files (`save`, `from_file`), threads (`fork`, `wait`), other processes and devices
(`rpc`, `c10d`, `cuda`), output (`print`), settings of the process (`manual_seed`,
`set_grad_enabled`), memory that is not the net's (`set_`, `resize_`), classes of C++
(`torch.classes`), and text, which a net of sound does not need. docs/models-from-strangers.md has
the reasons.
"""

from __future__ import annotations

# Names that the code of an archive may call without a namespace.
_BUILTINS = """
annotate bool complex float getattr hasattr int isinstance len range sorted str tuple unchecked_cast
uninitialized
"""
BUILTINS = frozenset(_BUILTINS.split())

# Operators of the namespace `prim`.
_PRIM = """
NumToTensor RaiseException TupleIndex TupleUnpack abs device dtype is_cuda is_mkldnn is_nested
is_quantized is_sparse is_xla itemsize layout max min rangelist requires_grad tolist type
unchecked_cast unchecked_unwrap_optional
"""
PRIM = frozenset(_PRIM.split())

# Operators of the namespace `aten`, which the code of an archive calls `torch`.
_ATEN = """
Bool Complex ComplexImplicit Delete Float FloatImplicit Int IntImplicit ScalarImplicit Size __and__
__contains__ __derive_index __getitem__ __iand__ __ilshift__ __interpolate __ior__ __irshift__
__is__ __isnot__ __ixor__ __lshift__ __not__ __or__ __range_length __round_to_zero_floordiv
__rshift__ __upsample __upsample_bilinear __upsample_nearest __xor__ _convolution _get_tracing_state
_infer_size _log_softmax _native_multi_head_attention _nested_tensor_from_mask
_nested_tensor_from_mask_left_aligned _pack_padded_sequence _pad_circular _pad_enum
_pad_packed_sequence _reshape_from_tensor _safe_softmax _set_item _shape_as_tensor _softmax
_transformer_encoder_layer_fwd _unwrap_optional _upsample_bicubic2d_aa _upsample_bilinear2d_aa
_upsample_lanczos2d_aa _upsample_nearest_exact1d _upsample_nearest_exact2d _upsample_nearest_exact3d
_weight_norm abs abs_ absolute absolute_ acos acos_ acosh acosh_ adaptive_avg_pool1d
adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d
add add_ addbmm addbmm_ addcdiv addcdiv_ addcmul addcmul_ addmm addmm_ addmv addmv_ addr addr_
adjoint affine_grid_generator all allclose alpha_dropout alpha_dropout_ amax amin aminmax angle any
append arange arccos arccos_ arccosh arccosh_ arcsin arcsin_ arcsinh arcsinh_ arctan arctan2
arctan2_ arctan_ arctanh arctanh_ argmax argmin argsort argwhere as_strided as_strided_
as_strided_scatter as_tensor asin asin_ asinh asinh_ atan atan2 atan2_ atan_ atanh atanh_ atleast_1d
atleast_2d atleast_3d avg_pool1d avg_pool2d avg_pool3d baddbmm baddbmm_ bartlett_window batch_norm
bernoulli bernoulli_ bilinear bincount bitwise_and bitwise_and_ bitwise_left_shift
bitwise_left_shift_ bitwise_not bitwise_not_ bitwise_or bitwise_or_ bitwise_right_shift
bitwise_right_shift_ bitwise_xor bitwise_xor_ blackman_window block_diag bmm broadcast_shapes
broadcast_tensors broadcast_to bucketize cat cdist ceil ceil_ celu celu_ chalf channel_shuffle
cholesky cholesky_solve chunk clamp clamp_ clamp_max clamp_max_ clamp_min clamp_min_ clear clip
clip_ clone col2im column_stack complex concat concatenate conj conj_physical conj_physical_
constant_pad_nd contiguous conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d
convolution copy copy_ copysign copysign_ corrcoef cos cos_ cosh cosh_ cosine_similarity count
count_nonzero cov cpu cross cummax cummin cumprod cumprod_ cumsum cumsum_ cumulative_trapezoid
deg2rad deg2rad_ degrees det detach detach_ device diag diag_embed diagflat diagonal
diagonal_scatter diff digamma digamma_ dim div div_ divide divide_ divmod dot dropout dropout_
dsplit dstack einsum elu elu_ embedding empty empty_like empty_permuted empty_strided endswith eq
eq_ equal erf erf_ erfc erfc_ erfinv erfinv_ exp exp2 exp2_ exp_ expand expand_as expm1 expm1_
extend eye fabs feature_alpha_dropout feature_alpha_dropout_ feature_dropout feature_dropout_
fft_fft fft_fft2 fft_fftfreq fft_fftn fft_fftshift fft_hfft fft_hfft2 fft_hfftn fft_ifft fft_ifft2
fft_ifftn fft_ifftshift fft_ihfft fft_ihfft2 fft_ihfftn fft_irfft fft_irfft2 fft_irfftn fft_rfft
fft_rfft2 fft_rfftfreq fft_rfftn fill fill_ fill_diagonal_ fix fix_ flatten flip fliplr flipud
float_power float_power_ floor floor_ floor_divide floor_divide_ floordiv fmax fmin fmod format frac
frac_ fractional_max_pool2d fractional_max_pool3d frexp frobenius_norm full full_like gamma gather
gcd gcd_ ge ge_ gelu gelu_ get glu greater greater_ greater_equal greater_equal_ grid_sampler
grid_sampler_2d grid_sampler_3d group_norm gru gru_cell gt gt_ hamming_window hann_window hardshrink
hardsigmoid hardsigmoid_ hardswish hardswish_ hardtanh hardtanh_ heaviside heaviside_ histc
histogram hsplit hstack hypot hypot_ i0 i0_ igamma igamma_ igammac igammac_ im2col imag index
index_add index_add_ index_copy_ index_fill index_fill_ index_put index_put_ index_reduce
index_reduce_ index_select inner insert instance_norm inverse is_autocast_enabled is_complex is_conj
is_contiguous is_floating_point is_grad_enabled is_neg is_nonzero is_scripting is_signed isclose
isfinite isin isinf isnan isneginf isposinf isreal istft item items join kaiser_window keys kron
kthvalue layer_norm lcm lcm_ ldexp ldexp_ le le_ leaky_relu leaky_relu_ len lerp lerp_ less less_
less_equal less_equal_ lgamma lgamma_ linalg__powsum linalg_cholesky linalg_cholesky_ex linalg_cond
linalg_cross linalg_det linalg_diagonal linalg_eig linalg_eigh linalg_eigvals linalg_eigvalsh
linalg_householder_product linalg_inv linalg_inv_ex linalg_lstsq linalg_lu linalg_lu_factor
linalg_lu_factor_ex linalg_lu_solve linalg_matmul linalg_matrix_exp linalg_matrix_norm
linalg_matrix_power linalg_matrix_rank linalg_multi_dot linalg_norm linalg_pinv linalg_qr
linalg_slogdet linalg_solve linalg_solve_ex linalg_solve_triangular linalg_svd linalg_svdvals
linalg_vander linalg_vecdot linalg_vector_norm linear linspace list log log10 log10_ log1p log1p_
log2 log2_ log_ log_sigmoid log_softmax logaddexp logaddexp2 logcumsumexp logdet logical_and
logical_and_ logical_not logical_not_ logical_or logical_or_ logical_xor logical_xor_ logit logit_
logspace logsumexp lstm lstm_cell lt lt_ mH mT masked_fill masked_fill_ masked_scatter
masked_scatter_ masked_select mathremainder matmul matrix_H matrix_exp matrix_power max max_pool1d
max_pool1d_with_indices max_pool2d max_pool2d_with_indices max_pool3d max_pool3d_with_indices
max_unpool2d max_unpool3d maximum mean median meshgrid min minimum mish mish_ mm mode modf moveaxis
movedim msort mul mul_ multiply multiply_ mv mvlgamma mvlgamma_ nan_to_num nan_to_num_ nanmean
nanmedian nansum narrow native_batch_norm native_dropout native_group_norm native_layer_norm ne ne_
neg neg_ negative negative_ new_empty new_empty_strided new_full new_ones new_zeros nextafter
nextafter_ nonzero norm norm_except_dim normal normal_ not_equal not_equal_ nuclear_norm numel
numpy_T one_hot ones ones_like outer pad pad_sequence pairwise_distance pdist permute pinverse
pixel_shuffle pixel_unshuffle polar polygamma polygamma_ pop popitem positive pow pow_ prelu prod
promote_types qr rad2deg rad2deg_ radians rand rand_like randint randint_like randn randn_like range
ravel real reciprocal reciprocal_ reflection_pad1d reflection_pad2d reflection_pad3d relu relu6
relu6_ relu_ remainder remainder_ remove renorm renorm_ repeat repeat_interleave replication_pad1d
replication_pad2d replication_pad3d reshape reshape_as resolve_conj resolve_neg result_type reverse
rms_norm rnn_relu rnn_relu_cell rnn_tanh rnn_tanh_cell roll rot90 round round_ row_stack rrelu
rrelu_ rsplit rsqrt rsqrt_ rsub scalar_tensor scaled_dot_product_attention scatter scatter_
scatter_add scatter_add_ scatter_reduce scatter_reduce_ searchsorted select select_scatter selu
selu_ setdefault sgn sgn_ sigmoid sigmoid_ sign sign_ signbit silu silu_ sin sin_ sinc sinc_ sinh
sinh_ size slice slice_scatter slogdet softmax softplus softshrink sort sorted special_airy_ai
special_bessel_j0 special_bessel_j1 special_bessel_y0 special_bessel_y1
special_chebyshev_polynomial_t special_chebyshev_polynomial_u special_chebyshev_polynomial_v
special_chebyshev_polynomial_w special_digamma special_entr special_erf special_erfc special_erfcx
special_erfinv special_exp2 special_expit special_expm1 special_gammainc special_gammaincc
special_gammaln special_hermite_polynomial_h special_hermite_polynomial_he special_i0 special_i0e
special_i1 special_i1e special_laguerre_polynomial_l special_legendre_polynomial_p special_log1p
special_log_ndtr special_log_softmax special_logit special_logsumexp special_modified_bessel_i0
special_modified_bessel_i1 special_modified_bessel_k0 special_modified_bessel_k1
special_multigammaln special_ndtr special_ndtri special_polygamma special_psi special_round
special_scaled_modified_bessel_k0 special_scaled_modified_bessel_k1
special_shifted_chebyshev_polynomial_t special_shifted_chebyshev_polynomial_u
special_shifted_chebyshev_polynomial_v special_shifted_chebyshev_polynomial_w special_sinc
special_softmax special_spherical_bessel_j0 special_xlog1py special_xlogy special_zeta split
split_with_sizes sqrt sqrt_ square square_ squeeze squeeze_ stack startswith std std_mean stft str
stride sub sub_ subtract subtract_ sum sum_to_size svd swapaxes swapaxes_ swapdims swapdims_ t t_
take take_along_dim tan tan_ tanh tanh_ tensor tensor_split tensordot threshold threshold_ tile to
to_padded_tensor topk trace transpose transpose_ trapezoid trapz tril tril_ tril_indices triu triu_
triu_indices true_divide true_divide_ trunc trunc_ type_as unbind unflatten unfold uniform uniform_
unique_consecutive unique_dim unique_dim_consecutive unsafe_chunk unsafe_split
unsafe_split_with_sizes unsqueeze unsqueeze_ update upsample_bicubic2d upsample_bilinear2d
upsample_linear1d upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_trilinear3d
values var var_mean vdot view view_as view_as_complex view_as_real vsplit vstack where xlogy xlogy_
zero zero_ zeros zeros_like
"""
ATEN = frozenset(_ATEN.split())
